// The logging seam: any logger with pino's method shape fits. Off by default. Neighbour: log-line.ts makes the lines of user code.

/**
 * Where log lines go. A `pino()` logger fits as it is, its children too, and so does `console`. Methods are called on the main thread with plain
 * data: be quick.
 */
export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
  /** Whether lines of a level are wanted. Asked once, when a runtime starts: lines of other levels are not even made. @default all are */
  isLevelEnabled?(level: string): boolean;
}

/** Levels of lines, the least important first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Names of the logger's methods. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The least important level that is wanted; `silent`: nothing is. */
export type LogThreshold = LogLevel | 'silent';

/** One line logged by user code, on its way to the main thread. */
export type LogLine = {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
};

/** The default: discards everything. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/**
 * Tells whether lines of a level are wanted.
 *
 * @param threshold - the least important level that is
 * @param level - of the line
 */
export function isWanted(threshold: LogThreshold, level: LogLevel): boolean {
  return threshold !== 'silent' && LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(threshold);
}
