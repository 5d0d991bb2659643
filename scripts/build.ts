// Builds dist: JavaScript, declarations and source maps from src, and the dashboard. Then checks that what package.json exports is really there.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { buildDashboard } from './build-dashboard.ts';

const root = dirname(import.meta.dirname);

/** An entry of the exports map: condition to file. */
type ExportTargets = Readonly<Record<string, string>>;

/** TypeScript 7 has no JavaScript API: its compiler is run as the program that the package's `bin` field names. */
function runTsc(project: string): number {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve('typescript/package.json');
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly bin: { readonly tsc: string } };
  const tsc = join(dirname(manifest), bin.tsc);
  return spawnSync(process.execPath, [tsc, '--project', project], { cwd: root, stdio: 'inherit' }).status ?? 1;
}

function missingExports(): readonly string[] {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly exports: Readonly<Record<string, ExportTargets>>;
  };
  return Object.values(manifest.exports)
    .flatMap((targets) => Object.values(targets))
    .filter((target) => !existsSync(join(root, target)));
}

// A file that src no longer has must not live on in the package.
rmSync(join(root, 'dist'), { recursive: true, force: true });
const status = runTsc('tsconfig.build.json');
if (status === 0) await buildDashboard(join(root, 'dist', 'dashboard'));
const missing = status === 0 ? missingExports() : [];
if (missing.length > 0) console.error(`package.json exports files that do not exist: ${missing.join(', ')}`);
process.exitCode = missing.length > 0 ? 1 : status;
