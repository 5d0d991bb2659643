// The code that instances need, by the number that the store gives it: a fetch asks for the numbers that its caller can run. Neighbours:
// postgres-provider.ts fetches turns with it, sql/turns.ts says when there is code that is not known here.
//
// C1. Rows are never removed or changed, so what was read once stays right. Numbers do not become visible in their order: what is new is found
//     by not being known, not by being higher.
import type { InstanceCode } from '../provider.ts';

/** Tells whether the caller of a fetch can run a code. */
export type CodeFilter = (code: InstanceCode) => boolean;

/** Table `codes`, kept in memory. */
export class Codes {
  readonly #codes = new Map<number, InstanceCode>();
  /** What each filter said. It is pure, and asked once a code. */
  readonly #accepted = new WeakMap<CodeFilter, { asked: number; readonly ids: number[] }>();

  /** All numbers that are known. */
  get known(): readonly number[] {
    return [...this.#codes.keys()];
  }

  /** Adds what was read from the store. */
  add(codeId: number, code: InstanceCode): void {
    this.#codes.set(codeId, code);
  }

  /** Numbers of the known codes that a filter takes; without a filter all. */
  accepted(filter: CodeFilter | undefined): readonly number[] {
    if (filter === undefined) return this.known;
    const answers = this.#accepted.get(filter) ?? { asked: 0, ids: [] };
    this.#accepted.set(filter, answers);
    if (answers.asked < this.#codes.size) {
      // A Map keeps the order in which codes were added: the first ones were asked.
      for (const [codeId, code] of [...this.#codes].slice(answers.asked)) if (filter(code)) answers.ids.push(codeId);
      answers.asked = this.#codes.size;
    }
    return answers.ids;
  }
}
