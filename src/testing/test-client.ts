// The client of a test runtime: its waits let simulated time pass. Neighbours: test-runtime.ts, time-skipper.ts.
import { Client, type Receipt, type ValueWaitOptions } from '../client/client.ts';
import type { ClientStore } from '../client/client-store.ts';
import type { InstanceState } from '../client/instance-state.ts';
import type { WaitOptions } from '../client/wait.ts';
import type { Clock } from '../types/clock.ts';
import type { TimeSkipper } from './time-skipper.ts';

/** A client whose waits are known to the test runtime; handles wait by it, too. */
export class TestClient extends Client {
  readonly #skipper: TimeSkipper;

  /**
   * @param store - of the test runtime
   * @param clock - of the test runtime
   * @param skipper - told of every wait
   */
  constructor(store: ClientStore, clock: Clock, skipper: TimeSkipper) {
    super(store, { clock });
    this.#skipper = skipper;
  }

  override waitForResult<Output = unknown>(instanceId: string, options: WaitOptions = {}): Promise<Output> {
    const wait = (signal: AbortSignal): Promise<Output> => super.waitForResult<Output>(instanceId, both(options, signal));
    return this.#skipper.during(`the end of '${instanceId}'`, wait);
  }

  override waitForCustomStatus<Output = unknown>(
    instanceId: string,
    options: WaitOptions & { readonly afterVersion: number },
  ): Promise<InstanceState<Output>> {
    const wait = (signal: AbortSignal): Promise<InstanceState<Output>> =>
      super.waitForCustomStatus<Output>(instanceId, both(options, signal));
    return this.#skipper.during(`a custom status of '${instanceId}'`, wait);
  }

  override waitForValue<Value = unknown>(instanceId: string, key: string, options: ValueWaitOptions = {}): Promise<Value> {
    const wait = (signal: AbortSignal): Promise<Value> => super.waitForValue<Value>(instanceId, key, both(options, signal));
    return this.#skipper.during(`value '${key}' of '${instanceId}'`, wait);
  }

  override waitForReceipt(instanceId: string, key: string, options: WaitOptions = {}): Promise<Receipt> {
    const wait = (signal: AbortSignal): Promise<Receipt> => super.waitForReceipt(instanceId, key, both(options, signal));
    return this.#skipper.during(`the receipt of '${key}' by '${instanceId}'`, wait);
  }
}

function both<Options extends WaitOptions>(options: Options, signal: AbortSignal): Options {
  return { ...options, signal: options.signal === undefined ? signal : AbortSignal.any([options.signal, signal]) };
}
