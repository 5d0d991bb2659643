// The rare parts of a turn in SQL: values, subscriptions, publications, messages to sessions, terminations. Neighbour: orchestrator-queue.ts
// calls it inside the turn's transaction, after everything else.
import type { AckEffects } from '../provider.ts';
import type { AttributeTable } from './attributes.ts';
import type { StoreChanges } from './changes.ts';
import type { InstanceControl } from './control.ts';
import type { SessionMessageTable } from './session-messages.ts';
import type { SubscriptionTable } from './subscriptions.ts';
import type { ValueTable } from './values.ts';

/** Applies effects to their tables. */
export class TurnEffectWriter {
  readonly #attributes: AttributeTable;
  readonly #values: ValueTable;
  readonly #subscriptions: SubscriptionTable;
  readonly #sessionMessages: SessionMessageTable;
  readonly #control: InstanceControl;
  readonly #changes: StoreChanges;

  constructor(parts: {
    readonly attributes: AttributeTable;
    readonly values: ValueTable;
    readonly subscriptions: SubscriptionTable;
    readonly sessionMessages: SessionMessageTable;
    readonly control: InstanceControl;
    readonly changes: StoreChanges;
  }) {
    this.#attributes = parts.attributes;
    this.#values = parts.values;
    this.#subscriptions = parts.subscriptions;
    this.#sessionMessages = parts.sessionMessages;
    this.#control = parts.control;
    this.#changes = parts.changes;
  }

  /** In the order of the contract. */
  apply(instanceId: string, effects: AckEffects): void {
    if (effects.attributes !== null) this.#attributes.replace(instanceId, effects.attributes);
    for (const { key, value } of effects.values) this.#values.set(instanceId, key, value);
    if (effects.values.length > 0) this.#changes.instances.add(instanceId);
    for (const { pattern, subscribed } of effects.subscriptions) {
      if (subscribed) this.#subscriptions.subscribe(instanceId, pattern);
      else this.#subscriptions.unsubscribe(instanceId, pattern);
    }
    for (const publication of effects.publications) this.#subscriptions.publish(publication);
    for (const { sessionId, payload } of effects.sessionMessages) {
      this.#sessionMessages.send(sessionId, payload);
      this.#changes.sessions.add(sessionId);
    }
    for (const termination of effects.terminations) this.#control.terminateChild(termination);
  }
}
