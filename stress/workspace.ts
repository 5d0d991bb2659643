// Where a run has its database, and the processes and tidying that must not outlive it. Neighbours: main.ts makes it, modes use it.
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type Provider } from 'duraloom';
import { HostProcess, type HostOptions } from './host-process.ts';
import { KEEP } from './small-disk.ts';
import { openStore, type StoreAddress } from './store.ts';

/** One run's place. */
export class Workspace {
  readonly folder: string;
  /** The database of the modes that run on a file. */
  readonly file: string;
  readonly #isOwn: boolean;
  readonly #hosts = new Set<HostProcess>();
  #store: StoreAddress;

  /**
   * @param folder - is kept, and made when it is not there; null: a new one
   */
  constructor(folder: string | null) {
    this.#isOwn = folder === null;
    this.folder = folder ?? mkdtempSync(join(tmpdir(), 'duraloom-stress-'));
    if (folder !== null) mkdirSync(folder, { recursive: true });
    this.file = join(this.folder, `stress-${process.pid}.db`);
    this.#store = { kind: 'file', file: this.file };
  }

  /** Where the store is. */
  get store(): StoreAddress {
    return this.#store;
  }

  /** Says that the store is elsewhere than in the file, before anything is done with it. */
  useStore(store: StoreAddress): void {
    this.#store = store;
  }

  /** Starts a host process on the store, or on another way to it. */
  startHost(options: Omit<HostOptions, 'store'>, store: StoreAddress = this.#store): HostProcess {
    const host = new HostProcess({ ...options, store });
    this.#hosts.add(host);
    void host.ended.then(() => this.#hosts.delete(host));
    return host;
  }

  /** Opens the store for the length of a call. */
  async withStore<Value>(use: (provider: Provider, client: Client) => Promise<Value>): Promise<Value> {
    const provider = await openStore(this.#store);
    try {
      return await use(provider, new Client(provider));
    } finally {
      await provider.close();
    }
  }

  /** Ends what still runs. */
  killHosts(): void {
    for (const host of this.#hosts) host.signal('SIGKILL');
  }

  /** Sees to it that the folder outlives this run. Returns where it is. */
  keep(): string {
    const into = process.env[KEEP];
    if (into === undefined) return this.folder;
    cpSync(this.folder, into, { recursive: true });
    return into;
  }

  /** Removes the folder, if it was made here. */
  remove(): void {
    if (this.#isOwn) rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
