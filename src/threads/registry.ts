// Definitions by name, loaded from modules inside the thread that runs them. Neighbours: the loops ask it, control.ts describes it to main.
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ActivityDefinition, Definition, OrchestrationDefinition } from '../types/definition.ts';
import { ArgumentError, DefinitionError } from '../types/errors.ts';

/** Where definitions come from: the address of a module, or (inline only) a definition itself. */
export type DefinitionSource = URL | string | Definition;

/** What a thread has registered. */
export type RegisteredName = { readonly name: string; readonly version: string | null };

/**
 * Makes the address of a module from what a person gave.
 *
 * @param source - URL, `file:` URL as text, or absolute path
 * @returns the URL as text
 * @throws {ArgumentError} for a relative path: relative to what is not known here
 */
export function toModuleUrl(source: URL | string): string {
  if (source instanceof URL) return source.href;
  if (/^[a-z]{2,}:/.test(source)) return source;
  if (isAbsolute(source)) return pathToFileURL(source).href;
  throw new ArgumentError(
    `Expected a module to be a URL or an absolute path, got '${source}'. Write new URL('${source}', import.meta.url)`,
  );
}

/** Orchestrations or activities of one thread. */
export class Registry<Kind extends Definition['kind']> {
  readonly #kind: Kind;
  /** By name, then by version ('' for activities), highest version first. */
  readonly #byName = new Map<string, { readonly version: string; readonly definition: Definition; readonly source: string }[]>();

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  /**
   * Loads modules and registers their definitions.
   *
   * @param sources - module URLs as text, or definitions
   * @throws {DefinitionError} that names the file and the export at fault
   */
  async load(sources: readonly (string | Definition)[]): Promise<void> {
    for (const source of sources) {
      if (typeof source === 'string') await this.#loadModule(source);
      else this.#add(source, `the ${this.#kind}s given to the runtime`);
    }
  }

  /**
   * Finds a definition.
   *
   * @param name - its name
   * @param version - exact version of an orchestration; undefined: the highest
   * @returns null when there is none
   */
  find(name: string, version?: string): (Kind extends 'activity' ? ActivityDefinition : OrchestrationDefinition) | null {
    const versions = this.#byName.get(name);
    const found = version === undefined ? versions?.[0] : versions?.find((candidate) => candidate.version === version);
    return (found?.definition ?? null) as (Kind extends 'activity' ? ActivityDefinition : OrchestrationDefinition) | null;
  }

  list(): RegisteredName[] {
    return [...this.#byName].flatMap(([name, versions]) =>
      versions.map(({ version }) => ({ name, version: version === '' ? null : version })),
    );
  }

  /** For messages: which names there are. */
  describe(): string {
    const names = this.list().map(({ name, version }) => (version === null ? name : `${name}@${version}`));
    if (names.length === 0) return `it has no ${this.#kind === 'activity' ? 'activities' : 'orchestrations'}`;
    return `registered: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ` and ${names.length - 20} more` : ''}`;
  }

  async #loadModule(url: string): Promise<void> {
    let module: Readonly<Record<string, unknown>>;
    try {
      module = (await import(url)) as Readonly<Record<string, unknown>>;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new DefinitionError('MODULE_NOT_LOADED', `cannot load module ${url}: ${reason}. Check the path and what the module imports`, {
        cause,
      });
    }
    let found = 0;
    for (const [name, value] of Object.entries(module)) {
      if (!isDefinition(value)) {
        throw new DefinitionError(
          'DEFINITION_INVALID',
          `export '${name}' of ${url} is no definition (it is ${describeValue(value)}). Export only what defineOrchestration and defineActivity return; move the rest to another module`,
        );
      }
      // A module may hold both kinds and be given for both.
      if (value.kind !== this.#kind) continue;
      found += 1;
      this.#add(value, `export '${name}' of ${url}`);
    }
    if (found === 0) throw new DefinitionError('DEFINITION_INVALID', `module ${url} exports no ${this.#kind}`);
  }

  #add(definition: unknown, source: string): void {
    if (!isDefinition(definition) || definition.kind !== this.#kind) {
      throw new DefinitionError('DEFINITION_INVALID', `${source}: expected an ${this.#kind} definition, got ${describeValue(definition)}`);
    }
    const version = definition.kind === 'orchestration' ? definition.version : '';
    const versions = this.#byName.get(definition.name) ?? [];
    const other = versions.find((candidate) => candidate.version === version);
    if (other?.definition === definition) return;
    if (other !== undefined) {
      const what = version === '' ? `${this.#kind} '${definition.name}'` : `${this.#kind} '${definition.name}' version ${version}`;
      throw new DefinitionError('DEFINITION_DUPLICATE', `${what} is defined twice: ${other.source} and ${source}. Rename one of them`);
    }
    versions.push({ version, definition, source });
    versions.sort((left, right) => compareVersions(right.version, left.version));
    this.#byName.set(definition.name, versions);
  }
}

function isDefinition(value: unknown): value is Definition {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, name, handler } = value as Partial<Definition>;
  return (kind === 'orchestration' || kind === 'activity') && typeof name === 'string' && typeof handler === 'function';
}

function describeValue(value: unknown): string {
  return value === null ? 'null' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function compareVersions(left: string, right: string): number {
  const [a, b] = [left.split('.').map(Number), right.split('.').map(Number)];
  const index = a.findIndex((part, position) => part !== b[position]);
  return index < 0 ? 0 : (a[index] ?? 0) - (b[index] ?? 0);
}
