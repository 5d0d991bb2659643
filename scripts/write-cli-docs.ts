// npm run docs:cli: makes the second part of docs/cli.md from the commands.
import { COMMANDS } from '../src/surfaces/cli/commands/all.ts';
import { writeDocument } from './cli-docs.ts';

writeDocument(COMMANDS);
