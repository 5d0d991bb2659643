// Which instances want which topics. Neighbours: instances.ts delivers publications, turns.ts subscribes, types/topics.ts reads patterns.
//
// I1. A pattern is in one of the two maps: without wildcards in the one that is looked up by topic, with wildcards in the one that is gone
//     through. So a publication costs what its receivers and the different wildcard patterns cost, not what all subscriptions do.
// I2. No pattern without subscribers.
import { compareCodePoints } from './code-points.ts';
import { hasWildcards, matchesTopic } from '../../types/topics.ts';

/** The subscriptions of all instances. */
export class Subscriptions {
  readonly #exact = new Map<string, Set<string>>();
  readonly #wild = new Map<string, Set<string>>();
  readonly #patternsOf = new Map<string, Set<string>>();

  /**
   * Subscribes an instance. Twice is once.
   *
   * @param instanceId - who
   * @param pattern - to what
   */
  add(instanceId: string, pattern: string): void {
    addTo(this.#mapOf(pattern), pattern, instanceId);
    addTo(this.#patternsOf, instanceId, pattern);
  }

  /**
   * Ends a subscription, if there is one.
   *
   * @param instanceId - whose
   * @param pattern - to what
   */
  remove(instanceId: string, pattern: string): void {
    removeFrom(this.#mapOf(pattern), pattern, instanceId);
    removeFrom(this.#patternsOf, instanceId, pattern);
  }

  /**
   * Ends all subscriptions of an instance.
   *
   * @param instanceId - whose
   */
  removeInstance(instanceId: string): void {
    for (const pattern of this.#patternsOf.get(instanceId) ?? []) this.remove(instanceId, pattern);
  }

  /**
   * Reads the patterns of an instance.
   *
   * @param instanceId - whose
   * @returns its patterns, by code points
   */
  patternsOf(instanceId: string): readonly string[] {
    return [...(this.#patternsOf.get(instanceId) ?? [])].toSorted(compareCodePoints);
  }

  /**
   * Finds the subscribers of a topic.
   *
   * @param topic - the topic
   * @returns each instance once, however many of its patterns match
   */
  subscribersOf(topic: string): ReadonlySet<string> {
    const found = new Set(this.#exact.get(topic));
    for (const [pattern, instanceIds] of this.#wild) {
      if (matchesTopic(pattern, topic)) for (const instanceId of instanceIds) found.add(instanceId);
    }
    return found;
  }

  #mapOf(pattern: string): Map<string, Set<string>> {
    return hasWildcards(pattern) ? this.#wild : this.#exact;
  }
}

function addTo(map: Map<string, Set<string>>, key: string, value: string): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, new Set([value]));
  else values.add(value);
}

function removeFrom(map: Map<string, Set<string>>, key: string, value: string): void {
  const values = map.get(key);
  values?.delete(value);
  if (values?.size === 0) map.delete(key);
}
