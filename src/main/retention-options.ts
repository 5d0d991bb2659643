// What users say about retention → the rules of the sweeper. Neighbours: options.ts, retention.ts.
import { assertKnownOptions, makeOptionError, readArray, readOptions, type FieldNames } from '../types/arguments.ts';
import { toMilliseconds, type Duration } from '../types/duration.ts';
import { OptionError } from '../types/errors.ts';
import { assertName } from '../types/names.ts';
import { show } from '../types/show.ts';
import type { Retention, RetentionRule } from './retention.ts';

/** What stays of the instances of an orchestration. Each limit holds by itself: what one of them does not keep goes. */
export type RetentionRuleOptions = {
  /** Name of the orchestration. @default all that have no rule of their own */
  readonly name?: string;
  /** How long ended instances stay. @default without end */
  readonly keepFor?: Duration;
  /** How long those that Failed or were Terminated stay, whatever `keepLast` says. @default as the others */
  readonly keepFailedFor?: Duration;
  /** How many ended instances stay, the newest. Range: 0 to 1,000,000. @default any number */
  readonly keepLast?: number;
  /** How many executions of an instance stay, the current one included. Range: 1 to 1,000,000. @default all */
  readonly keepExecutions?: number;
};

/** When what is deleted. */
export type RetentionOptions = {
  readonly rules: readonly RetentionRuleOptions[];
  /** How often to look. Range: 1 second to 1 day. @default '1m' */
  readonly every?: Duration;
};

const FIELDS: FieldNames<RetentionOptions> = { rules: true, every: true };
const RULE_FIELDS: FieldNames<RetentionRuleOptions> = {
  name: true,
  keepFor: true,
  keepFailedFor: true,
  keepLast: true,
  keepExecutions: true,
};
const MAX_COUNT = 1_000_000;
const EVERY = { minimumMs: 1_000, maximumMs: 24 * 60 * 60 * 1000 };

/**
 * Reads rules.
 *
 * @param given - by the caller
 * @returns the rules with every default filled in
 * @throws {OptionError} for one that is none, or says nothing
 */
export function readRetention(given: RetentionOptions): Retention {
  const { rules, every = '1m' } = readOptions<RetentionOptions>(given, '`retention`', FIELDS, makeOptionError);
  assertKnownOptions(given, FIELDS, ' of `retention`');
  const list = readArray(rules);
  if (list === null || list.length === 0) {
    throw new OptionError(`Expected \`rules\` of \`retention\` to be rules such as [{ keepFor: '30d' }], got ${show(rules)}`);
  }
  const read = list.map((rule) => readRule(rule as RetentionRuleOptions));
  const names = new Set(read.map(({ name }) => name));
  if (names.size < read.length) throw new OptionError('Expected one rule of `retention` for each name, got several');
  const everyMs = toMs(every, 'every');
  if (everyMs < EVERY.minimumMs || everyMs > EVERY.maximumMs) {
    throw new OptionError(`Expected \`every\` of \`retention\` to be from 1s to 1d, got ${show(every)}`);
  }
  return { everyMs, rules: read };
}

function readRule(given: RetentionRuleOptions): RetentionRule {
  const rule = readOptions<RetentionRuleOptions>(given, 'a rule of `retention`', RULE_FIELDS, makeOptionError);
  assertKnownOptions(given, RULE_FIELDS, ' of a rule of `retention`');
  const { name, keepFor, keepFailedFor, keepLast, keepExecutions } = rule;
  if (keepFor === undefined && keepLast === undefined && keepExecutions === undefined) {
    throw new OptionError(`Expected a rule of \`retention\` to have keepFor, keepLast or keepExecutions, got ${show(given)}`);
  }
  return {
    name: name === undefined ? null : toName(name),
    keepMs: keepFor === undefined ? null : toMs(keepFor, 'keepFor'),
    keepFailedMs: keepFailedFor === undefined ? null : toMs(keepFailedFor, 'keepFailedFor'),
    keepLast: toCount('keepLast', keepLast, 0),
    keepExecutions: toCount('keepExecutions', keepExecutions, 1),
  };
}

function toName(name: string): string {
  try {
    return assertName(name, '`name` of a rule of `retention`');
  } catch (cause) {
    throw new OptionError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function toMs(duration: Duration, what: string): number {
  try {
    return toMilliseconds(duration, `\`${what}\` of \`retention\``);
  } catch (cause) {
    throw new OptionError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function toCount(what: string, count: number | undefined, least: number): number | null {
  if (count === undefined) return null;
  if (Number.isInteger(count) && count >= least && count <= MAX_COUNT) return count;
  throw new OptionError(
    `Expected \`${what}\` of a rule of \`retention\` to be an integer from ${least} to ${MAX_COUNT}, got ${show(count)}`,
  );
}
