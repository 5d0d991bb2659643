// Adds the golden histories of the current version: tests/golden/<version>/*.json. What is there already is never written again: a golden
// that no longer replays shows a change that would break what is running. Run it once for each release.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { recordGoldens } from '../tests/golden/scenarios.ts';

const root = dirname(import.meta.dirname);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
const folder = process.argv[2] ?? join(root, 'tests/golden', version);

mkdirSync(folder, { recursive: true });
const refused: string[] = [];
let added = 0;
for (const [file, text] of await recordGoldens()) {
  const path = join(folder, file);
  if (!existsSync(path)) {
    writeFileSync(path, text);
    added += 1;
  } else if (readFileSync(path, 'utf8') !== text) refused.push(file);
}
console.log(`${added} golden histories of ${version} added to ${folder}`);
if (refused.length > 0) {
  console.error(
    `Not written, because another history of that name is there: ${refused.join(', ')}. Goldens are never changed; raise the version first`,
  );
  process.exitCode = 1;
}
