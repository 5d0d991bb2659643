// A host in a process of its own: opens a store, starts a runtime, tells its parent what it logs, and stops when it is told to.
// Neighbour: integration-child.ts starts it.
import { Runtime, type Logger, type LogLevel } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';

/** What a host needs; JSON, so modules are URLs as text. */
export type HostSettings = {
  readonly file: string;
  readonly runtime: Readonly<Record<string, unknown>>;
};

/** What a host tells its parent. */
export type HostMessage =
  | { readonly kind: 'ready'; readonly pid: number }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly fields: Readonly<Record<string, unknown>>; readonly message: string }
  | { readonly kind: 'stopped' };

if (process.send !== undefined) await main(JSON.parse(process.argv[2] ?? '') as HostSettings);

async function main(settings: HostSettings): Promise<void> {
  // A host must not outlive the test that started it.
  process.on('disconnect', () => process.exit(9));
  const provider = await SqliteProvider.open(settings.file);
  const runtime = await Runtime.start({ provider, ...settings.runtime, logger: tellingLogger() });
  process.on('message', () => {
    void (async (): Promise<void> => {
      await runtime.shutdown();
      await provider.close();
      tell({ kind: 'stopped' });
      process.disconnect();
      process.removeAllListeners('disconnect');
    })();
  });
  tell({ kind: 'ready', pid: process.pid });
}

function tellingLogger(): Logger {
  const at =
    (level: LogLevel) =>
    (fields: Readonly<Record<string, unknown>>, message: string): void => {
      const texts = Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? String(value) : value] as const);
      tell({ kind: 'log', level, fields: Object.fromEntries(texts), message });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function tell(message: HostMessage): void {
  process.send?.(message);
}
