// Adds the golden histories of the current version: tests/golden/<version>/*.json. What is there already is never written again, also when it
// would be recorded otherwise today: it stands for instances that are running, and tests/golden.test.ts replays it for ever. Run it for each
// release, and for each new scenario.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { recordGoldens } from '../tests/golden/scenarios.ts';

const root = dirname(import.meta.dirname);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
const folder = process.argv[2] ?? join(root, 'tests/golden', version);

mkdirSync(folder, { recursive: true });
const kept: string[] = [];
let added = 0;
for (const [file, text] of await recordGoldens()) {
  const path = join(folder, file);
  if (!existsSync(path)) {
    writeFileSync(path, text);
    added += 1;
  } else if (readFileSync(path, 'utf8') !== text) kept.push(file);
}
console.log(`${added} golden histories of ${version} added to ${folder}`);
if (kept.length > 0) {
  console.log(
    `Kept as they are, though they would be recorded otherwise today: ${kept.join(', ')}. They must go on replaying: npm test -- tests/golden. ` +
      'The next version records them anew',
  );
}
