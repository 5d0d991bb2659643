// All commands, in the order of the help. Neighbours: ../main.ts, ../program.ts.
import type { Command } from '../command.ts';
import { completion } from './completion.ts';
import { conformance } from './conformance.ts';
import { controls } from './control.ts';
import { diagram } from './diagram.ts';
import { doctor } from './doctor.ts';
import { exportCommand } from './export.ts';
import { history } from './history.ts';
import { importCommand } from './import.ts';
import { init } from './init.ts';
import { list } from './list.ts';
import { metrics } from './metrics.ts';
import { prune } from './prune.ts';
import { queues } from './queues.ts';
import { publish, raise } from './raise.ts';
import { replay } from './replay.ts';
import { mcp, serve } from './serve.ts';
import { show } from './show.ts';
import { start } from './start.ts';
import { tree } from './tree.ts';
import { validate } from './validate.ts';
import { watch } from './watch.ts';
import { why } from './why.ts';

/** The commands. */
export const COMMANDS: readonly Command[] = [
  list,
  show,
  history,
  tree,
  watch,
  why,
  diagram,
  metrics,
  start,
  raise,
  publish,
  ...controls,
  prune,
  ...queues,
  exportCommand,
  importCommand,
  validate,
  replay,
  conformance,
  serve,
  mcp,
  init,
  doctor,
  completion,
];
