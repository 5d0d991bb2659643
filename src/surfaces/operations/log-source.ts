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

/** Keeps the last lines of a process. */
export interface LogSource {
  /** The oldest kept lines after `afterSeq` that fit the filter, at most `limit`. */
  read(query: LogFilter & { readonly afterSeq?: number; readonly limit?: number }): readonly LogEntry[];
  /** Calls the listener for each new line that fits; returns what ends that. */
  subscribe(filter: LogFilter, listener: (entry: LogEntry) => void): () => void;
}
