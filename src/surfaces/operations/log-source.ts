// Where kept log lines come from: the part of a log tail that the surfaces need. Neighbours: logs.ts reads it, http/streams.ts follows it.
import type { LogLevel } from '../../types/logger.ts';

/** Which lines. */
export type LogFilter = {
  readonly instanceId?: string;
  /** This level and worse. */
  readonly level?: LogLevel;
};

/** One kept line. */
export type LogEntry = {
  /** Grows by one with each line. */
  readonly seq: number;
  readonly atMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
};

/** What was read. */
export type LogPage = {
  readonly entries: readonly LogEntry[];
  /** Up to where was looked. */
  readonly lastSeq: number;
  /** How many lines behind `afterSeq` are not kept any more. */
  readonly missed: number;
};

/** Keeps the last lines of a process. Every `LogTail` is one. */
export interface LogSource {
  /** Lines behind `afterSeq`, oldest first; without it the newest ones. */
  read(options: LogFilter & { readonly afterSeq?: number; readonly limit?: number }): LogPage;
  /** Calls the listener for each new line that fits; returns what ends that. */
  subscribe(filter: LogFilter, listener: (entry: LogEntry) => void): () => void;
}
