// The way into the package: where its definitions are, and under which prefix a host finds them.
import { withPrefix, type DefinitionSource } from 'duraloom';

/** Sources of a package, for the options of a runtime. */
export type PackageSources = { readonly orchestrations: readonly DefinitionSource[]; readonly activities: readonly DefinitionSource[] };

/** Loads both lines of the package side by side: running invoices of version 1 go on, new ones take what they ask for. */
export function loadBilling(prefix = 'billing.'): PackageSources {
  return {
    orchestrations: [new URL('./v1.ts', import.meta.url), new URL('./v2.ts', import.meta.url)].map((url) => withPrefix(prefix, url)),
    activities: [withPrefix(prefix, new URL('./activities.ts', import.meta.url))],
  };
}
