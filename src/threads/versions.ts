// Which version of an orchestration runs: exact versions, semver ranges, and the runtime's policy for starts that name none.
// Neighbours: registry.ts asks in the threads, main asks which instances this runtime can take. Why semver: docs/adr/0005.
import { maxSatisfying, valid, validRange } from 'semver';
import { OptionError } from '../types/errors.ts';
import { show } from '../types/show.ts';

/** Version per orchestration name for starts that name none: `latest`, an exact version or a semver range. Absent: latest. */
export type VersionPolicy = Readonly<Record<string, string>>;

/**
 * Chooses a version.
 *
 * @param versions - what is registered for a name
 * @param wanted - exact version or semver range; undefined: whatever the policy says
 * @param policy - `latest` (also when undefined), an exact version or a range
 * @returns the highest that fits; null: none does
 */
export function chooseVersion(versions: readonly string[], wanted: string | undefined, policy: string | undefined): string | null {
  const spec = wanted ?? policy ?? 'latest';
  if (versions.includes(spec)) return spec;
  if (valid(spec) !== null) return null;
  const range = spec === 'latest' ? '*' : validRange(spec);
  return range === null ? null : maxSatisfying(versions, range);
}

/**
 * Checks a policy.
 *
 * @param policy - from the options of a runtime
 * @returns the policy
 * @throws {OptionError} when an entry is no version, no range and not `latest`
 */
export function assertVersionPolicy(policy: VersionPolicy): VersionPolicy {
  for (const [name, spec] of Object.entries(policy)) {
    if (typeof spec !== 'string' || (spec !== 'latest' && validRange(spec) === null)) {
      throw new OptionError(
        `Expected \`versionPolicy\` of '${name}' to be 'latest', a version or a semver range such as '^1.2', got ${show(spec)}`,
      );
    }
  }
  return policy;
}
