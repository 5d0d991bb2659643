// Server-sent events from text that arrives in pieces. Pure. Neighbour: stream.ts.

/** One event of a stream. */
export type StreamEvent = { readonly id: string; readonly event: string; readonly data: string };

/** Cuts text into events, as the HTML standard says. */
export class EventParser {
  #rest = '';
  #id = '';
  #event = '';
  #data: string[] = [];

  /**
   * Takes a piece of the stream.
   *
   * @param chunk - text, cut anywhere
   * @returns the events that it completes
   */
  push(chunk: string): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') this.#finish(events);
      else this.#field(line);
    }
    return events;
  }

  #field(line: string): void {
    const at = line.indexOf(':');
    const name = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? '' : line.slice(at + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#event = value;
    else if (name === 'id') this.#id = value;
  }

  #finish(events: StreamEvent[]): void {
    if (this.#data.length > 0)
      events.push({ id: this.#id, event: this.#event === '' ? 'message' : this.#event, data: this.#data.join('\n') });
    this.#event = '';
    this.#data = [];
  }
}
