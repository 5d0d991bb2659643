// What a runtime logs, kept and awaited by tests: the way in which activities tell how far they are. Neighbour: integration-stage.ts.
import type { Logger, LogLevel } from 'duraloom';

/** One logged line. */
export type LoggedLine = { readonly level: LogLevel; readonly fields: Readonly<Record<string, unknown>>; readonly message: string };

/** A logger that remembers. */
export class LogBook implements Logger {
  readonly lines: LoggedLine[] = [];
  readonly #waiters = new Set<(line: LoggedLine) => void>();

  debug(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.write({ level: 'debug', fields, message });
  }

  info(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.write({ level: 'info', fields, message });
  }

  warn(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.write({ level: 'warn', fields, message });
  }

  error(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.write({ level: 'error', fields, message });
  }

  write(line: LoggedLine): void {
    this.lines.push(line);
    for (const waiter of this.#waiters) waiter(line);
  }

  /** Resolves when as many lines as wanted match; lines logged before the call count. */
  waitFor(matches: (line: LoggedLine) => boolean, count = 1): Promise<readonly LoggedLine[]> {
    const found = this.lines.filter((line) => matches(line));
    if (found.length >= count) return Promise.resolve(found);
    return new Promise((resolve) => {
      const waiter = (line: LoggedLine): void => {
        if (!matches(line)) return;
        found.push(line);
        if (found.length < count) return;
        this.#waiters.delete(waiter);
        resolve(found);
      };
      this.#waiters.add(waiter);
    });
  }

  /** Resolves when a message was logged, by a given instance if one is given. */
  async message(message: string, instanceId?: string): Promise<LoggedLine> {
    const [line] = await this.waitFor(
      (line) => line.message === message && (instanceId === undefined || line.fields['instanceId'] === instanceId),
    );
    if (line === undefined) throw new TypeError('a wait for one line gave none');
    return line;
  }
}
