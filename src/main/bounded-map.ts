// A map that forgets its oldest entries: what a dispatcher remembers of work that may end in another process, of which it is never told.

/** Most entries of a map. Reason: more than one runtime has in flight, and a few MiB at most. */
const MAX_ENTRIES = 10_000;

/** A map of limited size. Setting a key again makes it the newest. */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  override set(key: Key, value: Value): this {
    this.delete(key);
    super.set(key, value);
    if (this.size > MAX_ENTRIES) {
      for (const oldest of this.keys()) {
        this.delete(oldest);
        break;
      }
    }
    return this;
  }
}
