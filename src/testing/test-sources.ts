// Where the code of a test runtime comes from: modules, definitions, mocks, and their types. Neighbours: test-runtime.ts, threads/registry.ts.
import { Registry, toThreadSource, type DefinitionSource, type PrefixedSource } from '../threads/registry.ts';
import type { ActivityDefinition, Definition, OrchestrationDefinition } from '../types/definition.ts';
import { DefinitionError, OptionError } from '../types/errors.ts';
import type { TestActivityContext } from './test-activity-context.ts';

/** A module as `import * as module` gives it, or definitions by any key. */
export type DefinitionModule = Readonly<Record<string, Definition>>;

/** One or many: imported modules, definitions, or addresses of modules as for `Runtime.start`. */
export type TestSources = DefinitionModule | DefinitionSource | readonly (DefinitionModule | DefinitionSource)[];

/** The activity definitions in sources, as far as the compiler sees them: addresses of modules say nothing. */
export type ActivitiesOf<Sources> = Sources extends readonly (infer Source)[]
  ? ActivitiesOf<Source>
  : Sources extends URL | string | PrefixedSource | OrchestrationDefinition
    ? never
    : Sources extends ActivityDefinition
      ? Sources
      : Extract<Sources[keyof Sources], ActivityDefinition>;

/** `true` when some of the sources are addresses of modules: there may be more activities than the compiler sees. `never`: nothing is known. */
type HasMore<Sources> = [Sources] extends [never]
  ? true
  : Sources extends readonly (infer Source)[]
    ? HasMore<Source>
    : Sources extends URL | string | PrefixedSource
      ? true
      : never;

/** Names of the activities in sources; any name, when there may be more than the compiler sees. */
export type ActivityName<Sources> = [HasMore<Sources>] extends [never] ? ActivitiesOf<Sources>['name'] : string;

/** The activity of a name; none, when any name will do. */
type ActivityOf<Sources, Name> = string extends ActivitiesOf<Sources>['name']
  ? never
  : Extract<ActivitiesOf<Sources>, { readonly name: Name }>;

/** Input of the activity of a name. */
export type ActivityInput<Sources, Name> = [ActivityOf<Sources, Name>] extends [never]
  ? unknown
  : ActivityOf<Sources, Name> extends ActivityDefinition<string, infer Input>
    ? Input
    : never;

/** Output of the activity of a name. */
export type ActivityOutput<Sources, Name> = [ActivityOf<Sources, Name>] extends [never]
  ? unknown
  : ActivityOf<Sources, Name> extends ActivityDefinition<string, never, infer Output>
    ? Output
    : never;

/** What runs in place of an activity. */
export type ActivityMock<Input = never, Output = unknown> = (ctx: TestActivityContext, input: Input) => Output | Promise<Output>;

/** Mocks by the names of the activities; of any name, when there may be more than the compiler sees. A condition first: it is resolved early enough to type parameters. */
export type ActivityMocks<Sources> = [HasMore<Sources>] extends [never]
  ? MocksOf<ActivitiesOf<Sources>>
  : MocksOf<ActivitiesOf<Sources>> & Readonly<Record<string, ActivityMock>>;

type MocksOf<Activities extends ActivityDefinition> = {
  readonly [Activity in Activities as Activity['name']]?: Activity extends ActivityDefinition<string, infer Input, infer Output>
    ? ActivityMock<Input, Output>
    : never;
};

/**
 * Takes definitions out of modules.
 *
 * @param sources - as given
 * @param kind - which are wanted
 * @returns definitions of that kind, and addresses of modules
 * @throws {DefinitionError} for an export that is no definition, and for a module without any of that kind
 */
export function toSources(sources: TestSources, kind: Definition['kind']): readonly DefinitionSource[] {
  const given = (Array.isArray(sources) ? sources : [sources]) as readonly (DefinitionModule | DefinitionSource)[];
  return given.flatMap((source): readonly DefinitionSource[] => (isModule(source) ? definitionsOf(source, kind) : [source]));
}

function isModule(source: DefinitionModule | DefinitionSource): source is DefinitionModule {
  if (typeof source !== 'object' || source === null || source instanceof URL) return false;
  // A definition, or one with a prefix. A module may export something of these names: a definition, then.
  const { kind, prefix } = source as Readonly<Record<string, unknown>>;
  return typeof kind !== 'string' && typeof prefix !== 'string';
}

function definitionsOf(module: DefinitionModule, kind: Definition['kind']): readonly Definition[] {
  const exported = Object.entries(module as Readonly<Record<string, Partial<Definition> | null | undefined>>);
  for (const [name, value] of exported) {
    if (value?.kind === 'orchestration' || value?.kind === 'activity') continue;
    const advice = 'Export only what defineOrchestration and defineActivity return, as production demands; move the rest to another module';
    throw new DefinitionError('DEFINITION_INVALID', `export '${name}' of a module given to createTestRuntime is no definition. ${advice}`);
  }
  const definitions = Object.values(module).filter((value) => value.kind === kind);
  if (definitions.length > 0) return definitions;
  throw new DefinitionError('DEFINITION_INVALID', `a module given to createTestRuntime exports no ${kind}`);
}

/**
 * Loads activities and puts mocks in the place of some.
 *
 * @param sources - modules and definitions; undefined: there are only mocks
 * @param mocks - by name
 * @returns the definitions
 * @throws {DefinitionError} when a module cannot be loaded or holds something else
 * @throws {OptionError} for a mock of an activity that does not exist, and one that is no function
 */
export async function loadActivities(
  sources: readonly DefinitionSource[] | undefined,
  mocks: Readonly<Record<string, unknown>>,
): Promise<readonly ActivityDefinition[]> {
  const registry = new Registry('activity');
  await registry.load((sources ?? []).map(toThreadSource));
  const real = registry.list().flatMap(({ name }) => registry.find(name) ?? []);
  const mocked = Object.entries(mocks).flatMap(([name, mock]): readonly ActivityDefinition[] => {
    if (mock === undefined) return [];
    if (typeof mock !== 'function') {
      throw new OptionError(`Expected mock '${name}' to be a function (ctx, input) => result, got ${typeof mock}`);
    }
    const replaced = real.find((definition) => definition.name === name);
    if (replaced === undefined && sources !== undefined) {
      throw new OptionError(
        `Unknown activity '${name}' in \`mocks\`: ${registry.describe()}. Correct the name, or add the activity to \`activities\``,
      );
    }
    const handler = mock as ActivityDefinition['handler'];
    return [{ kind: 'activity', name, handler, schemas: replaced?.schemas ?? {} }];
  });
  return [...real.filter(({ name }) => !mocked.some((mock) => mock.name === name)), ...mocked];
}
