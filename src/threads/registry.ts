// Definitions by name, loaded from modules inside the thread that runs them. Neighbours: the loops ask it, control.ts describes it to main.
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rcompare } from 'semver';
import { readOptions, type FieldNames } from '../types/arguments.ts';
import { decodePayload, encodePayload } from '../types/codec.ts';
import {
  defineActivity,
  defineOrchestration,
  readTransaction,
  type ActivityDefinition,
  type Definition,
  type OrchestrationDefinition,
  type OrchestrationSettings,
} from '../types/definition.ts';
import { ArgumentError, DefinitionError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import { assertName } from '../types/names.ts';
import type { StandardSchema } from '../types/schema.ts';
import { show } from '../types/show.ts';
import type { TransactionSource } from '../types/transaction.ts';
import { chooseVersion, type VersionPolicy } from './versions.ts';

/** Where definitions come from: the address of a module, or (inline only) a definition itself; with a prefix for their names: see `withPrefix`. */
export type DefinitionSource = URL | string | Definition | PrefixedSource;

/** Definitions of a package under names of its own. */
export type PrefixedSource = { readonly prefix: string; readonly source: URL | string | Definition };

/** What a thread loads: module URLs as text; inline also definitions. */
export type ThreadSource = { readonly prefix: string; readonly source: string | Definition };

/** What a schema tells about itself. `jsonSchema`: when its library can write one. */
export type SchemaDescription = { readonly vendor: string; readonly jsonSchema?: unknown };

/** What a thread has registered. */
export type RegisteredName = {
  readonly name: string;
  /** null for an activity. */
  readonly version: string | null;
  /** By role: `input`, `output`, and `event <name>`; absent when it has none. */
  readonly schemas?: Readonly<Record<string, SchemaDescription>>;
  /** The activity records its end itself, in the transaction of its rows. */
  readonly isTransactional?: true;
};

/**
 * Puts a prefix before the names of all definitions of a module, so that packages can be composed. Code of the package calls its own definitions
 * by their plain names; a name that begins with '/' is taken as it is.
 *
 * @param prefix - such as 'billing.'
 * @param source - module or (inline) definition
 * @returns a source for the options `orchestrations` and `activities`
 * @throws {ArgumentError} when the prefix is no text or begins with '/'
 */
export function withPrefix(prefix: string, source: URL | string | Definition): PrefixedSource {
  if (typeof prefix !== 'string' || prefix.startsWith('/')) {
    throw new ArgumentError(`Expected prefix to be text that does not begin with '/', such as 'billing.', got ${show(prefix)}`);
  }
  return { prefix, source };
}

/**
 * Reads a source that a caller gave, once.
 *
 * @param given - anything
 * @returns the source; null when it is none, or cannot be read
 */
export function readSource(given: unknown): DefinitionSource | null {
  try {
    if (typeof given === 'string' || given instanceof URL) return given;
    if (typeof given !== 'object' || given === null) return null;
    if ('kind' in given) return given as Definition;
    const { prefix, source } = given as Partial<PrefixedSource>;
    const inner = readSource(source);
    return typeof prefix !== 'string' || inner === null || isPrefixed(inner) ? null : { prefix, source: inner };
  } catch {
    return null;
  }
}

function isPrefixed(source: DefinitionSource): source is PrefixedSource {
  return typeof source === 'object' && 'source' in source;
}

/**
 * Brings a source into the form that threads load.
 *
 * @param source - as a person gave it
 * @returns module URL as text or definition, with its prefix
 * @throws {ArgumentError} for a relative path
 */
export function toThreadSource(source: DefinitionSource): ThreadSource {
  const { prefix, source: inner } = isPrefixed(source) ? source : { prefix: '', source };
  return { prefix, source: typeof inner === 'string' || inner instanceof URL ? toModuleUrl(inner) : inner };
}

/**
 * Makes the address of a module from what a person gave.
 *
 * @param source - URL, `file:` URL as text, or absolute path
 * @returns the URL as text
 * @throws {ArgumentError} for a relative path: relative to what is not known here
 */
function toModuleUrl(source: URL | string): string {
  if (source instanceof URL) return source.href;
  if (/^[a-z]{2,}:/.test(source)) return source;
  if (isAbsolute(source)) return pathToFileURL(source).href;
  throw new ArgumentError(
    `Expected a module to be a URL or an absolute path, got ${show(source)}. Write new URL(${show(source)}, import.meta.url)`,
  );
}

/** Orchestrations or activities of one thread. */
export class Registry<Kind extends Definition['kind']> {
  readonly #kind: Kind;
  /** By name, then by version ('' for activities), highest version first. */
  #policy: VersionPolicy = {};
  /** What was found before, by name and wanted version: ranges cost microseconds, and every turn from history asks. */
  readonly #found = new Map<string, Map<string, Definition | null>>();
  readonly #byName = new Map<string, { readonly version: string; readonly definition: Definition; readonly source: string }[]>();

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  /**
   * Loads modules and registers their definitions.
   *
   * @param sources - modules or definitions
   * @param policy - versions for starts that name none
   * @throws {DefinitionError} that names the file and the export at fault
   */
  async load(sources: readonly ThreadSource[], policy: VersionPolicy = {}): Promise<void> {
    this.#policy = policy;
    this.#found.clear();
    for (const { prefix, source } of sources) {
      if (typeof source === 'string') await this.#loadModule(source, prefix);
      else {
        const where = `the ${this.#kind}s given to the runtime`;
        this.#add(
          readDefinition(() => source, where),
          { prefix, where },
        );
      }
    }
  }

  /**
   * Finds a definition.
   *
   * @param name - its name
   * @param version - exact version of an orchestration, or a range; undefined: by the policy
   * @returns null when there is none
   */
  find(name: string, version?: string): (Kind extends 'activity' ? ActivityDefinition : OrchestrationDefinition) | null {
    const wanted = version ?? '';
    const answers = this.#found.get(name) ?? new Map<string, Definition | null>();
    let found = answers.get(wanted);
    if (found === undefined) {
      found = this.#choose(name, version);
      // Only what is registered is remembered: what people ask for has no end.
      if (found !== null) this.#found.set(name, answers.set(wanted, found));
    }
    return found as (Kind extends 'activity' ? ActivityDefinition : OrchestrationDefinition) | null;
  }

  #choose(name: string, version: string | undefined): Definition | null {
    const versions = this.#byName.get(name) ?? [];
    const known = versions.map((candidate) => candidate.version);
    const chosen = this.#kind === 'activity' ? '' : chooseVersion(known, version, this.#policy[name]);
    return versions.find((candidate) => candidate.version === chosen)?.definition ?? null;
  }

  /** What its activities hold on to. */
  get sources(): ReadonlySet<TransactionSource<never>> {
    const definitions = [...this.#byName.values()].flat().map(({ definition }) => definition);
    return new Set(definitions.flatMap((definition) => ('transaction' in definition ? (definition.transaction?.source ?? []) : [])));
  }

  list(): RegisteredName[] {
    return [...this.#byName].flatMap(([name, versions]) =>
      versions.map(({ version, definition }) => ({
        name,
        version: version === '' ? null : version,
        ...describeSchemas(definition),
        ...('transaction' in definition && { isTransactional: true as const }),
      })),
    );
  }

  /** For messages: which names there are. */
  describe(): string {
    const names = this.list().map(({ name, version }) => (version === null ? name : `${name}@${version}`));
    if (names.length === 0) return `it has no ${this.#kind === 'activity' ? 'activities' : 'orchestrations'}`;
    return `registered: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ` and ${names.length - 20} more` : ''}`;
  }

  async #loadModule(url: string, prefix: string): Promise<void> {
    let module: Readonly<Record<string, unknown>>;
    try {
      module = (await import(url)) as Readonly<Record<string, unknown>>;
    } catch (cause) {
      const reason = toFailure(cause).message;
      throw new DefinitionError('MODULE_NOT_LOADED', `cannot load module ${url}: ${reason}. Check the path and what the module imports`, {
        cause,
      });
    }
    let found = 0;
    for (const name of Object.keys(module)) {
      const where = `export '${name}' of ${url}`;
      const definition = readDefinition(() => module[name], where);
      // A module may hold both kinds and be given for both.
      if (definition.kind !== this.#kind) continue;
      found += 1;
      this.#add(definition, { prefix, where });
    }
    if (found === 0) throw new DefinitionError('DEFINITION_INVALID', `module ${url} exports no ${this.#kind}`);
  }

  #add(given: Definition, { prefix, where: source }: { readonly prefix: string; readonly where: string }): void {
    if (given.kind !== this.#kind) {
      throw new DefinitionError('DEFINITION_INVALID', `${source}: expected an ${this.#kind} definition, got ${given.kind} '${given.name}'`);
    }
    const definition = prefix === '' ? given : withName(given, prefix, source);
    const version = definition.kind === 'orchestration' ? definition.version : '';
    const versions = this.#byName.get(definition.name) ?? [];
    const other = versions.find((candidate) => candidate.version === version);
    if (other !== undefined && other.definition.handler === definition.handler) return;
    if (other !== undefined) {
      const what = version === '' ? `${this.#kind} '${definition.name}'` : `${this.#kind} '${definition.name}' version ${version}`;
      throw new DefinitionError('DEFINITION_DUPLICATE', `${what} is defined twice: ${other.source} and ${source}. Rename one of them`);
    }
    versions.push({ version, definition, source });
    versions.sort((left, right) => (left.version === '' ? 0 : rcompare(left.version, right.version)));
    this.#byName.set(definition.name, versions);
  }
}

function describeSchemas(definition: Definition): { readonly schemas?: Readonly<Record<string, SchemaDescription>> } {
  const { input, output } = definition.schemas;
  const events = definition.kind === 'orchestration' ? Object.entries(definition.schemas.events ?? {}) : [];
  const named: (readonly [string, StandardSchema | undefined])[] = [
    ['input', input],
    ['output', output],
    ...events.map(([name, schema]) => [`event ${name}`, schema] as const),
  ];
  const schemas = named.flatMap(([role, schema]) => (schema === undefined ? [] : [[role, describeSchema(schema)] as const]));
  return schemas.length === 0 ? {} : { schemas: Object.fromEntries(schemas) };
}

/** Some libraries write JSON Schema (Standard JSON Schema); what they cannot write is left out. */
function describeSchema(schema: StandardSchema): SchemaDescription {
  let vendor = 'unknown';
  try {
    const standard = schema['~standard'] as StandardSchema['~standard'] & {
      readonly jsonSchema?: { readonly input?: (options: { readonly target: string }) => unknown };
    };
    if (typeof standard.vendor === 'string') vendor = standard.vendor;
    // It leaves this thread: only what JSON keeps can.
    const jsonSchema = decodePayload(encodePayload(standard.jsonSchema?.input?.({ target: 'draft-2020-12' }), 'JSON Schema'));
    return jsonSchema === undefined ? { vendor } : { vendor, jsonSchema };
  } catch {
    // A schema with a transformation has no JSON Schema: the vendor is all there is to tell.
    return { vendor };
  }
}

/** What makes a definition, whoever made it: another copy of the library, or a caller by hand. */
const PARTS: FieldNames<OrchestrationDefinition & ActivityDefinition> = {
  kind: true,
  name: true,
  version: true,
  handler: true,
  schemas: true,
  prefix: true,
  transaction: true,
};

/** Reads a definition once and checks all of it: what comes out is plain. */
function readDefinition(get: () => unknown, where: string): Definition {
  try {
    const given = get();
    const isObject = typeof given === 'object' && given !== null;
    const parts = isObject ? readOptions<Partial<Record<keyof typeof PARTS, unknown>>>(given, 'the definition', PARTS) : {};
    const { kind, name, version, handler, schemas, transaction } = parts as Partial<Record<keyof typeof PARTS, never>>;
    if (kind === 'activity') {
      const activity = defineActivity(name ?? '', handler as never, schemas);
      return transaction === undefined ? activity : { ...activity, transaction: readTransaction(activity.name, transaction) };
    }
    if (kind === 'orchestration') {
      const settings = readOptions<OrchestrationSettings>(schemas, '`schemas`', { input: true, output: true, events: true, version: true });
      return defineOrchestration(name ?? '', handler as never, { ...settings, ...(version !== undefined && { version }) });
    }
    throw new ArgumentError(
      `it is no definition but ${show(given)}. Export only what defineOrchestration and defineActivity return; move the rest to another module`,
    );
  } catch (cause) {
    throw new DefinitionError('DEFINITION_INVALID', `${where} cannot be used: ${toFailure(cause).message}`, { cause });
  }
}

function withName(given: Definition, prefix: string, where: string): Definition {
  try {
    const own = { name: assertName(`${prefix}${given.name}`, `${given.kind} name`), prefix };
    return { ...given, ...own };
  } catch (cause) {
    throw new DefinitionError('DEFINITION_INVALID', `${where} cannot be used: ${toFailure(cause).message}`, { cause });
  }
}
