// What a PostgreSQL server tells of the plans of each statement, those inside of functions, too. Neighbours: postgres-plans.test.ts, postgres-lists.test.ts.
import pg from 'pg';
import { postgresUrl } from './postgres.ts';

/** A part of a plan, as EXPLAIN has it in JSON. */
export type PlanNode = {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
};

/** A statement with its plan. */
export type Told = { readonly 'Query Text': string; readonly Plan: PlanNode };

/** Makes a pool whose connections tell the plan of each statement, and how many rows it has read; the caller ends it. */
export function explainingPool(told: Told[]): pg.Pool {
  const settings = {
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': 0,
    'auto_explain.log_nested_statements': 'on',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
  };
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  const pool = new pg.Pool({ connectionString: postgresUrl(), max: 3, idleTimeoutMillis: 0, options: options.join(' ') });
  pool.on('connect', (client) => {
    client.on('notice', ({ message = '' }) => {
      const json = /^duration: .* plan:\n(\{[\s\S]*\})$/.exec(message)?.[1];
      if (json !== undefined) told.push(JSON.parse(json) as Told);
    });
  });
  return pool;
}

/** Lists a part of a plan with all that is below it. */
export function nodesOf(node: PlanNode): readonly PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}
