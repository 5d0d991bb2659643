// The logger that a runtime writes to: the host's, made safe, with the name of the node in each line. Neighbours: options.ts makes it, everything in
// main uses it; log-tail.ts is one that keeps lines.
//
// L1. What the host's logger does, whether it throws or rejects, stops nothing here. The first time is told by a warning of the process; all are counted.
// L2. What is below the level costs a comparison.
// L3. The fields that say where a line comes from are always ours: user code cannot pass for another instance.
import { hasMethods } from '../types/arguments.ts';
import { OptionError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import { isWanted, LOG_LEVELS, silentLogger, type Logger, type LogLevel, type LogThreshold } from '../types/logger.ts';
import { show } from '../types/show.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Checks a logger, and which level it is to get.
 *
 * @param level - that was asked for; undefined: ask the logger
 * @param logger - of the host; undefined: none
 * @returns the least important level
 * @throws {OptionError} for another level, or a logger that cannot be used
 */
export function checkLogLevel(level: LogThreshold | undefined, logger: Logger | undefined): LogThreshold {
  if (level !== undefined && level !== 'silent' && !LOG_LEVELS.includes(level)) {
    throw new OptionError(`Expected \`logLevel\` to be 'debug', 'info', 'warn', 'error' or 'silent', got ${show(level)}`);
  }
  if (logger === undefined) return 'silent';
  for (const method of LOG_LEVELS) {
    if (!hasMethods(logger, [method])) throw new OptionError(`Expected \`logger\` to have the method ${method}, got ${show(logger)}`);
  }
  return level ?? askLevel(logger);
}

function askLevel(logger: Logger): LogThreshold {
  if (!hasMethods(logger, ['isLevelEnabled'])) return 'debug';
  try {
    return LOG_LEVELS.find((level) => logger.isLevelEnabled?.(level) === true) ?? 'silent';
  } catch (cause) {
    throw new OptionError(`Expected \`logger\` to say which levels it takes, but its isLevelEnabled threw: ${toFailure(cause).message}`, {
      cause,
    });
  }
}

/** A logger that never throws. */
export type RuntimeLogger = Logger & {
  /** How often the host's logger threw or rejected. */
  readonly failures: () => number;
};

/**
 * Makes the logger of a runtime.
 *
 * @param logger - of the host; undefined: none
 * @param about - name of the node, and the least important level that is wanted
 * @returns a logger that never throws
 */
export function makeRuntimeLogger(
  logger: Logger | undefined,
  { nodeId, logLevel }: { readonly nodeId: string; readonly logLevel: LogThreshold },
): RuntimeLogger {
  if (logger === undefined || logLevel === 'silent') return { ...silentLogger, failures: () => 0 };
  let failures = 0;
  const warn = (level: LogLevel, error: unknown): void => {
    failures += 1;
    if (failures > 1) return;
    process.emitWarning(`the logger failed in ${level}, which is told once: ${toFailure(error).message}`, { code: 'DURALOOM_LOGGER' });
  };
  const logAt = (level: LogLevel): Logger[LogLevel] =>
    isWanted(logLevel, level)
      ? (fields, message) => {
          try {
            // A method that is async is void to the compiler.
            const done: unknown = logger[level]('nodeId' in fields ? fields : { nodeId, ...fields }, message);
            if (done instanceof Promise) done.catch((error: unknown) => warn(level, error));
          } catch (error) {
            warn(level, error);
          }
        }
      : silentLogger[level];
  return { debug: logAt('debug'), info: logAt('info'), warn: logAt('warn'), error: logAt('error'), failures: () => failures };
}

/**
 * Joins the fields of a line of user code with those that say where it comes from, the node among them.
 *
 * @param origin - where it comes from
 * @param fields - its own; those that have a name of the origin go into `fields`
 * @returns all of them
 */
export function withOrigin(origin: Fields, fields: Fields): Fields {
  const clashing = Object.keys(fields).filter((name) => Object.hasOwn(origin, name));
  if (clashing.length === 0) return { ...origin, ...fields };
  const own = Object.fromEntries(clashing.map((name) => [name, fields[name]]));
  return { ...fields, ...origin, fields: 'fields' in fields ? { ...own, fields: fields['fields'] } : own };
}
