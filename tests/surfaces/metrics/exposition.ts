// Reads the text that Prometheus reads, as strictly as it does. Neighbours: the tests of this folder.

/** One sample. */
export type Sample = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** What stands under one TYPE line. */
export type Family = { readonly name: string; readonly type: string; readonly help: string; readonly samples: readonly Sample[] };

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gy;

/**
 * Reads an exposition.
 *
 * @param text - of the format 0.0.4
 * @returns its families by name
 * @throws {SyntaxError} for anything that the format does not allow
 */
export function parseExposition(text: string): ReadonlyMap<string, Family> {
  const families = new Map<string, { name: string; type: string; help: string; samples: Sample[] }>();
  const seen = new Set<string>();
  let help: readonly [string, string] | null = null;
  let current: { name: string; samples: Sample[]; type: string } | null = null;
  if (!text.endsWith('\n')) throw new SyntaxError('the last line does not end');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment?.[1] === 'HELP') help = [comment[2] ?? '', comment[3] ?? ''];
    else if (comment !== null) {
      const [, , name = '', type = ''] = comment;
      if (help?.[0] !== name || families.has(name)) throw new SyntaxError(`TYPE of ${name} without HELP, or twice`);
      const family = { name, type, help: help[1], samples: [] };
      families.set(name, family);
      current = family;
    } else {
      const sample = readSample(line);
      const labels = Object.entries(sample.labels).map(([label, value]) => JSON.stringify([label, value]));
      const key = [sample.name, ...labels.toSorted()].join(' ');
      if (seen.has(key)) throw new SyntaxError(`twice: ${line}`);
      seen.add(key);
      const endings = current?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (current === null || !endings.some((ending) => `${current?.name}${ending}` === sample.name))
        throw new SyntaxError(`stray: ${line}`);
      current.samples.push(sample);
    }
  }
  return families;
}

function readSample(line: string): Sample {
  const [, name = '', inside, value = ''] = SAMPLE.exec(line) ?? [];
  if (name === '') throw new SyntaxError(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  let read = 0;
  for (const [pair, label = '', escaped = ''] of (inside ?? '').matchAll(LABEL)) {
    read += pair.length;
    labels[label] = escaped.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
  }
  if (read !== (inside ?? '').length) throw new SyntaxError(`no labels: ${line}`);
  const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value);
  if (Number.isNaN(number) && !/^nan$/i.test(value)) throw new SyntaxError(`no number: ${line}`);
  return { name, labels, value: number };
}
