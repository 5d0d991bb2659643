// Random orchestrations in random worlds, for tests of anything that reads histories. Neighbours: programs.ts, replay-harness.ts.
import fc from 'fast-check';
import { answerActivity, PROGRAM, programOrchestrations, programs, type Program } from './programs.ts';
import { run, World, type Choose, type Drain, type WorldLog, type WorldSettings } from './replay-harness.ts';

/** A random program and the choices of its world; the world ends by itself when the choices are used up. */
export type Case = { readonly program: Program; readonly choices: readonly number[] };

export const cases: fc.Arbitrary<Case> = fc.record({
  program: programs,
  choices: fc.array(fc.nat(255), { maxLength: 250, size: 'max' }),
});

/** Takes one choice after the other; then always the first possibility. */
export function chooseBy(choices: readonly number[]): Choose {
  let next = 0;
  return (bound) => {
    if (bound <= 1) return 0;
    next += 1;
    return (choices[next - 1] ?? 0) % bound;
  };
}

/** Runs a case to its end. */
export function play({ program, choices }: Case, settings: Partial<WorldSettings> = {}, drain: Drain = 'tick'): Promise<WorldLog> {
  const world = new World({
    definitions: programOrchestrations,
    root: { instanceId: 'root', name: PROGRAM, input: program },
    choose: chooseBy(choices),
    answer: answerActivity,
    engines: 'sticky',
    clock: 'advancing',
    noise: true,
    ...settings,
  });
  return run(world.play(), drain);
}
