// Which instances this runtime can run: asked by the store once per code, so that a mixed fleet never fetches what it cannot replay.
// Neighbours: orchestration-dispatcher.ts passes it to the fetch, threads/versions.ts chooses versions.
import type { InstanceCode } from '../provider/provider.ts';
import type { RegisteredName } from '../threads/registry.ts';
import { chooseVersion, type VersionPolicy } from '../threads/versions.ts';
import { ENGINE_BEHAVIOUR } from '../types/history-event.ts';

/** Why an instance's code cannot run here, in words for the log. */
export type Refusal = { readonly code: InstanceCode; readonly reason: string };

/**
 * Makes the predicate for fetches.
 *
 * @param names - what the replay threads have registered
 * @param policy - versions for instances that ask for none
 * @param onRefused - told once for each code that cannot run here
 * @returns true for code that this runtime can run
 */
export function makeAccepts(
  names: readonly RegisteredName[],
  policy: VersionPolicy,
  onRefused: (refusal: Refusal) => void,
): (code: InstanceCode) => boolean {
  const versions = new Map<string, string[]>();
  for (const { name, version } of names) versions.set(name, [...(versions.get(name) ?? []), version ?? '']);
  const answers = new Map<string, boolean>();
  return (code) => {
    const key = `${code.name}\n${code.version ?? ''}\n${code.engine}`;
    const answered = answers.get(key);
    if (answered !== undefined) return answered;
    const reason = refuse(code, versions.get(code.name), policy[code.name]);
    answers.set(key, reason === null);
    if (reason !== null) onRefused({ code, reason });
    return reason === null;
  };
}

/**
 * Tells whether a runtime of the fleet can run a code, by the versions that it reports. Its policy is not known: for a start that asks for none, any
 * version will do.
 *
 * @param code - what an instance needs
 * @param orchestrations - what the runtime has
 * @returns true when it can
 */
export function canRun(code: InstanceCode, orchestrations: readonly { readonly name: string; readonly version: string }[]): boolean {
  const versions = orchestrations.filter(({ name }) => name === code.name).map(({ version }) => version);
  return chooseVersion(versions, code.version ?? undefined, undefined) !== null;
}

function refuse(code: InstanceCode, versions: readonly string[] | undefined, policy: string | undefined): string | null {
  if (code.engine > ENGINE_BEHAVIOUR)
    return `it needs engine behaviour ${code.engine}, this version knows up to ${ENGINE_BEHAVIOUR}: update duraloom`;
  if (versions === undefined) return 'no such orchestration is registered here';
  if (chooseVersion(versions, code.version ?? undefined, policy) !== null) return null;
  return `this runtime has ${versions.join(', ')}`;
}
