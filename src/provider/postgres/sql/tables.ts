// The tables of the PostgreSQL store. Neighbours: ../migrations.ts applies this, the other files here have the functions that use them.
//
// B1. Every hot table has `instance_id` in its primary key and in every unique index, and every hot statement names it or reads one index in
//     its order: so the tables can be split by a hash of it (`partitions`), and spread by it over machines.
// B2. Times are epoch milliseconds of the database server's clock. Ids are compared by code points (collation "C").
// B3. An index entry holds 2,700 bytes at most: what may be longer with its neighbours stands there as a hash.

/** Hot tables, in the order in which functions lock them. */
const HOT_TABLES = ['instances', 'messages', 'work_items', 'history'] as const;

/** Rows of queues live for milliseconds: dead ones must go soon, or every look at the front of a queue walks over them. */
const QUEUE_STORAGE = 'autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0';

const COLUMNS: Readonly<Record<(typeof HOT_TABLES)[number], string>> = {
  // ready_at: NULL nothing to fetch; while lock_token is set and it lies in the future: the end of the lock; else from when on a turn may be
  // fetched. order_at: of the latest immediate message. handed_order, handed_id: the last message of the hand-out that is neither acked nor
  // abandoned, handed_max: its latest one, handed_at: when. owner, owned_until: who had the last turn, and until when the next one is for it alone.
  instances: `
    instance_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    version text,
    code_id integer NOT NULL,
    status text NOT NULL,
    priority integer NOT NULL,
    execution_id integer NOT NULL,
    first_execution_id integer NOT NULL,
    last_event_id integer NOT NULL DEFAULT 0,
    ready_at bigint,
    lock_token text,
    hold_until bigint NOT NULL DEFAULT 0,
    order_at bigint NOT NULL DEFAULT 0,
    handed_order bigint,
    handed_id bigint,
    handed_max bigint,
    handed_at bigint,
    owner text,
    owner_grace integer NOT NULL DEFAULT 0,
    owned_until bigint NOT NULL DEFAULT 0,
    output text,
    custom_status text,
    custom_status_version integer NOT NULL DEFAULT 0,
    parent_instance_id text COLLATE "C",
    parent_execution_id integer,
    parent_event_id integer,
    on_parent_close text NOT NULL,
    parent_notice text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (instance_id)`,
  // visible_at: 0 for what is visible at once, whatever the clock does; the due time of a timer. order_at: the order of the hand-out.
  messages: `
    instance_id text COLLATE "C" NOT NULL,
    visible_at bigint NOT NULL,
    message_id bigint NOT NULL,
    order_at bigint NOT NULL,
    timer_id integer,
    message_key text,
    attempts integer NOT NULL DEFAULT 0,
    payload text NOT NULL,
    PRIMARY KEY (instance_id, visible_at, message_id)`,
  // ready_at: the end of the lock while lock_token is set. expires_at: until somebody takes it. lock_owner: who claims sessions and took it.
  // owner: the runtime that it is kept for; '' none. limit_…: key and numbers of the limit that it shares, the interval of a rate in microseconds; limit_tag: '' without a tag, else a colon and it.
  work_items: `
    instance_id text COLLATE "C" NOT NULL,
    execution_id integer NOT NULL,
    event_id integer NOT NULL,
    ready_at bigint NOT NULL,
    lock_token text,
    attempts integer NOT NULL DEFAULT 0,
    owner text COLLATE "C" NOT NULL DEFAULT '',
    heartbeat text,
    tag text COLLATE "C",
    session_id text COLLATE "C",
    lock_owner text,
    expires_at bigint,
    priority integer NOT NULL DEFAULT 0,
    limit_key text COLLATE "C",
    limit_tag text COLLATE "C",
    limit_concurrency integer,
    limit_count integer,
    limit_interval bigint,
    routing text,
    name text NOT NULL,
    payload text NOT NULL,
    PRIMARY KEY (instance_id, execution_id, event_id)`,
  // A row a turn: its events as one text.
  history: `
    instance_id text COLLATE "C" NOT NULL,
    execution_id integer NOT NULL,
    first_event_id integer NOT NULL,
    last_event_id integer NOT NULL,
    events text NOT NULL,
    PRIMARY KEY (instance_id, execution_id, first_event_id)`,
};

/** Instances change three times in a short life: room on the page keeps a change there. */
const STORAGE: Readonly<Record<(typeof HOT_TABLES)[number], string>> = {
  instances: `fillfactor = 50, ${QUEUE_STORAGE}`,
  messages: QUEUE_STORAGE,
  work_items: `fillfactor = 70, ${QUEUE_STORAGE}`,
  history: 'fillfactor = 100',
};

/**
 * Makes the statements that create all tables.
 *
 * @param partitions - into how many parts the hot tables are split; 1: not at all
 * @returns SQL for the schema that is first in the search path
 */
export function makeTables(partitions: number): string {
  return `
-- Code that instances need: name, version (NULL any), engine behaviour (0 before the first turn). Few rows, never removed.
CREATE TABLE codes (
  code_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  version text,
  engine integer NOT NULL,
  UNIQUE NULLS NOT DISTINCT (name, version, engine)
);
CREATE SEQUENCE message_ids;
${HOT_TABLES.map((table) => makeHotTable(table, partitions)).join('\n')}
CREATE INDEX instances_ready ON instances (code_id, ready_at, instance_id) WHERE ready_at IS NOT NULL;
CREATE INDEX instances_children ON instances (md5(parent_instance_id), instance_id) WHERE parent_instance_id IS NOT NULL;
CREATE INDEX messages_timers ON messages (instance_id, timer_id) WHERE timer_id IS NOT NULL;
CREATE INDEX messages_keys ON messages (instance_id, md5(message_key)) WHERE message_key IS NOT NULL;
-- Work is found by where it goes: anywhere, by tag, by limit, by session; what will expire by the time of it.
CREATE INDEX work_items_plain ON work_items (owner, ready_at, instance_id, execution_id, event_id)
  WHERE tag IS NULL AND session_id IS NULL AND limit_key IS NULL;
CREATE INDEX work_items_tag ON work_items (tag, ready_at, instance_id, execution_id, event_id)
  WHERE tag IS NOT NULL AND session_id IS NULL AND limit_key IS NULL;
CREATE INDEX work_items_lane ON work_items (limit_key, limit_tag, ready_at, instance_id, execution_id, event_id) WHERE limit_key IS NOT NULL;
CREATE INDEX work_items_limit ON work_items (limit_key, ready_at) WHERE limit_key IS NOT NULL AND lock_token IS NOT NULL;
CREATE INDEX work_items_session ON work_items (ready_at, instance_id, execution_id, event_id) WHERE session_id IS NOT NULL;
CREATE INDEX work_items_of_session ON work_items (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX work_items_expiry ON work_items (expires_at) WHERE expires_at IS NOT NULL;

-- Executions that continued as new; the current one stands in instances.
CREATE TABLE past_executions (
  instance_id text COLLATE "C" NOT NULL,
  execution_id integer NOT NULL,
  name text NOT NULL,
  version text,
  last_event_id integer NOT NULL,
  ended_at bigint NOT NULL,
  PRIMARY KEY (instance_id, execution_id)
);
-- Topic patterns of living instances.
CREATE TABLE subscriptions (
  instance_id text COLLATE "C" NOT NULL,
  pattern text COLLATE "C" NOT NULL,
  is_wild boolean NOT NULL,
  PRIMARY KEY (instance_id, pattern)
);
CREATE INDEX subscriptions_pattern ON subscriptions (pattern, instance_id);
CREATE INDEX subscriptions_wild ON subscriptions (pattern) WHERE is_wild;
-- Key-value pairs of instances; they outlive the end.
CREATE TABLE instance_values (
  instance_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  value text NOT NULL,
  updated_at bigint NOT NULL,
  PRIMARY KEY (instance_id, key)
);
-- Sessions that somebody has claimed. Routing only: items of a session without a row, or whose lease ended, are free.
CREATE TABLE sessions (
  session_id text COLLATE "C" PRIMARY KEY,
  owner text NOT NULL,
  lease_until bigint NOT NULL,
  used_at bigint NOT NULL
);
CREATE INDEX sessions_owner ON sessions (owner, lease_until);
CREATE INDEX sessions_lease ON sessions (lease_until);
-- What has begun under a limit with a rate: when it would be paid for, in microseconds since the epoch. The row is locked by who takes of the limit.
CREATE TABLE limits (
  limit_key text COLLATE "C" PRIMARY KEY,
  arrival_us bigint NOT NULL
);
CREATE INDEX limits_arrival ON limits (arrival_us);
-- Messages to the activities of a session. Numbers never come back: a reader names the last one that it took.
CREATE TABLE session_messages (
  session_id text COLLATE "C" NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  payload text NOT NULL,
  sent_at bigint NOT NULL,
  PRIMARY KEY (session_id, seq)
);
CREATE INDEX session_messages_sent ON session_messages (sent_at);
-- Runtimes that said that they live.
CREATE TABLE runtimes (
  runtime_id text COLLATE "C" PRIMARY KEY,
  payload text NOT NULL,
  seen_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
-- For people with a SQL shell: one event a row.
CREATE VIEW history_events AS
  SELECT h.instance_id, h.execution_id, (e.value ->> 'id')::integer AS event_id, e.value ->> 'kind' AS kind,
    to_timestamp((e.value ->> 'atMs')::bigint / 1000.0) AS at, e.value AS event
  FROM history h, json_array_elements(h.events::json) e;
`;
}

/**
 * Brings tables of the first version to what operators need, and those processes of the version before that still run keep their call.
 *
 * Costs of the hot path: an instance that lives has an entry in `instances_living` for each of its places in the ready order; the others are
 * written when it ends, once.
 */
export const ADD_MANAGEMENT = `
-- ended_at: NULL while it lives. attributes: the search attributes as one text; NULL none.
ALTER TABLE instances ADD COLUMN ended_at bigint, ADD COLUMN attributes text;
UPDATE instances SET ended_at = updated_at WHERE status IN ('Completed', 'Failed', 'Cancelled', 'Terminated');
-- Living children come first: their number is asked for.
DROP INDEX instances_children;
CREATE INDEX instances_children ON instances (md5(parent_instance_id), (ended_at IS NULL), instance_id) WHERE parent_instance_id IS NOT NULL;
-- In the order of starts and of ends, name by name: there are few names. Statuses that are rare.
CREATE INDEX instances_living ON instances (name COLLATE "C", created_at, instance_id) WHERE ended_at IS NULL;
CREATE INDEX instances_ended ON instances (name COLLATE "C", created_at, instance_id) WHERE ended_at IS NOT NULL;
CREATE INDEX instances_ends ON instances (name COLLATE "C", ended_at, instance_id) WHERE ended_at IS NOT NULL;
CREATE INDEX instances_rare ON instances (status, created_at, instance_id)
  WHERE status IN ('Failed', 'Cancelled', 'Terminated', 'Suspended', 'Quarantined');
-- Search attributes one by one. created_at: of the instance, which is their order. Key and value together are too long for an entry (B3).
CREATE TABLE instance_attributes (
  instance_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (instance_id, key)
);
CREATE INDEX instance_attributes_found ON instance_attributes (hashtextextended(value, hashtextextended(key, 0)), created_at, instance_id);
`;

function makeHotTable(table: (typeof HOT_TABLES)[number], partitions: number): string {
  if (partitions === 1) return `CREATE TABLE ${table} (${COLUMNS[table]}) WITH (${STORAGE[table]});`;
  const parts = Array.from({ length: partitions }, (_, part) => {
    const range = `FOR VALUES WITH (MODULUS ${partitions}, REMAINDER ${part})`;
    return `CREATE TABLE ${table}_${part} PARTITION OF ${table} ${range} WITH (${STORAGE[table]});`;
  });
  return [`CREATE TABLE ${table} (${COLUMNS[table]}) PARTITION BY HASH (instance_id);`, ...parts].join('\n');
}
