#!/usr/bin/env node
// The program `duraloom`: checks Node, then runs what is built, or in a clone the source. Plain JavaScript, so that an old Node can read it, too.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

/** As in src/types/node-version.ts, which an old Node cannot read. */
const MINIMUM = [22, 18];
const CONDITION = '--conditions=duraloom-source';
const built = new URL('../dist/surfaces/cli/main.js', import.meta.url);
const source = new URL('../src/surfaces/cli/main.ts', import.meta.url);
/** Node as a clone pins it. */
const pinned = fileURLToPath(new URL(`../node_modules/node/bin/node${process.platform === 'win32' ? '.exe' : ''}`, import.meta.url));

const [major, minor] = process.versions.node.split('.').map(Number);
const isOld = major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1]);

/** Runs this program again with another Node or another condition, and ends as it ends. */
function startAgain(program, flags) {
  const child = spawn(program, [...flags, fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends its interrupts to both: the other one takes two that come together for one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${program} cannot be started: ${error.message}`, 'NODE_TOO_OLD'));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

function fail(message, code) {
  console.error(`error: ${message} (${code})`);
  process.exitCode = 1;
}

async function load(url) {
  try {
    const { main } = await import(url.href);
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    const missing = error?.code === 'ERR_MODULE_NOT_FOUND' && /Cannot find package '([^']+)'/.exec(error.message)?.[1];
    if (!missing) throw error;
    fail(
      `the command line needs the package '${missing}', which is optional and not installed. Run: npm install ${missing}`,
      'PACKAGE_MISSING',
    );
  }
}

if (isOld && existsSync(pinned)) startAgain(pinned, []);
else if (isOld) {
  fail(`duraloom needs Node ${MINIMUM.join('.')} or newer, this is ${process.versions.node}. Install a newer Node`, 'NODE_TOO_OLD');
} else {
  const wantsSource = existsSync(source) && import.meta.resolve('duraloom').endsWith('/src/index.ts');
  if (wantsSource) await load(source);
  else if (existsSync(built)) await load(built);
  else if (existsSync(source)) startAgain(process.execPath, [CONDITION]);
  else fail('the package is not complete: neither dist nor src is there. Install it again', 'PACKAGE_MISSING');
}
