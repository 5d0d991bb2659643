// The schema, as numbered forward-only migrations: entry n brings a file from version n to n + 1 (`PRAGMA user_version`).
// Neighbour: open-database.ts applies them. Never edit an entry that was released; append one.

/** Marks a file as ours (`PRAGMA application_id`): 'dloo' in ASCII. */
export const APPLICATION_ID = 0x646c6f6f;

/** SQL of each migration. */
export const MIGRATIONS: readonly string[] = [
  `
  -- Code that instances need: name, version (NULL any), engine behaviour (0 before the first turn). Few rows, never removed, so that every
  -- connection can keep them in memory and read only the new ones.
  CREATE TABLE codes (
    code_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT,
    engine INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX codes_name ON codes (name);

  -- One row an instance. ready_at (epoch ms): NULL nothing to fetch; unlocked: when its first message is visible; locked (lock_token set): when
  -- the lock expires. Unlocked ones stand in the ready order, locked ones in a lease: so a lock costs no index entry.
  -- The index begins with the token, which is always NULL there, so that it covers what is asked of it.
  -- Rows lie in the order of their starts, and so does their history: with ids that are random, turns would touch pages all over the file.
  CREATE TABLE instances (
    instance_key INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version TEXT,
    code_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL,
    execution_id INTEGER NOT NULL,
    last_event_id INTEGER NOT NULL,
    ready_at INTEGER,
    lock_token TEXT,
    hold_until INTEGER NOT NULL,      -- set by a delayed start and by abandon with a delay: not fetchable before
    message_seq INTEGER NOT NULL,     -- id of the newest message
    handed_seq INTEGER,               -- newest message at the last hand-out that is neither acked nor abandoned; NULL none
    handed_at INTEGER,                -- and its time
    output TEXT,
    custom_status TEXT,
    custom_status_version INTEGER NOT NULL,
    has_extras INTEGER NOT NULL,      -- 1 once it had subscriptions or routed items: only then its end looks for them
    parent_instance_id TEXT,          -- the parent link; all three NULL without a parent
    parent_execution_id INTEGER,
    parent_event_id INTEGER,
    on_parent_close TEXT NOT NULL,
    parent_notice TEXT,               -- message for the parent when it is replaced
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX instances_ready ON instances (lock_token, code_id, ready_at, instance_id) WHERE ready_at IS NOT NULL AND lock_token IS NULL;
  CREATE INDEX instances_children ON instances (parent_instance_id, instance_id) WHERE parent_instance_id IS NOT NULL;

  -- Messages and timers of instances. visible_at: 0 for a start message, so that it comes first; 1 for other messages, which are visible
  -- at once, whatever the clock does; the due time of a timer. arrived_at orders messages and timers among each other.
  CREATE TABLE orchestrator_queue (
    instance_id TEXT NOT NULL,
    visible_at INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    arrived_at INTEGER NOT NULL,
    timer_id INTEGER,                 -- event id of the timer; NULL for a message
    message_key TEXT,                 -- the sender's name for it; NULL none
    attempts INTEGER NOT NULL,        -- earlier hand-outs
    payload TEXT NOT NULL,
    PRIMARY KEY (instance_id, visible_at, message_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX orchestrator_queue_timers ON orchestrator_queue (instance_id, timer_id) WHERE timer_id IS NOT NULL;
  CREATE UNIQUE INDEX orchestrator_queue_keys ON orchestrator_queue (instance_id, message_key) WHERE message_key IS NOT NULL;

  -- Activities to run anywhere. ready_at: visible from, or lock expiry when lock_token is set.
  CREATE TABLE work_items (
    instance_id TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    lock_token TEXT,
    attempts INTEGER NOT NULL,        -- hand-outs so far
    heartbeat TEXT,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (instance_id, execution_id, event_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX work_items_ready ON work_items (lock_token, ready_at) WHERE lock_token IS NULL;

  -- What a fetch has locked in instances or work_items: one row a fetch, so that expired locks are found without an index entry each.
  CREATE TABLE leases (
    lease_id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,              -- table of the locked rows
    ends_at INTEGER NOT NULL,         -- no lock in it expires earlier
    lock_token TEXT NOT NULL,
    instance_ids TEXT NOT NULL        -- JSON: whose rows were locked; those that have another token by now are not meant
  ) STRICT;
  CREATE INDEX leases_end ON leases (queue, ends_at);

  -- Activities with any routing: the same, apart, because each further column and index made the others 10 % slower.
  -- Items of a session or with a limit are found by that, the others by their tag (NULL none).
  CREATE TABLE routed_items (
    instance_id TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,        -- less the head start of its priority
    lock_token TEXT,
    attempts INTEGER NOT NULL,
    heartbeat TEXT,
    tag TEXT,
    session_id TEXT,
    lock_owner TEXT,                  -- who claims sessions and locked this item of one
    expires_at INTEGER,               -- until somebody took it: when it expires; NULL when somebody did, or it does not expire
    priority INTEGER NOT NULL,
    limit_key TEXT,                   -- of the limit that it shares; NULL none
    limit_lane TEXT,                  -- JSON of that key and the tag; NULL without a limit
    routing TEXT NOT NULL,            -- all of it as JSON, for the worker
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (instance_id, execution_id, event_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX routed_items_tag ON routed_items (tag, ready_at) WHERE session_id IS NULL AND limit_key IS NULL;
  CREATE INDEX routed_items_session ON routed_items (session_id, ready_at) WHERE session_id IS NOT NULL;
  CREATE INDEX routed_items_lane ON routed_items (limit_lane, ready_at) WHERE limit_lane IS NOT NULL;
  CREATE INDEX routed_items_limit ON routed_items (limit_key, ready_at) WHERE limit_key IS NOT NULL AND lock_token IS NOT NULL;
  CREATE INDEX routed_items_expiry ON routed_items (expires_at) WHERE expires_at IS NOT NULL;

  -- Sessions that somebody has claimed. Routing only: items of a session without a row, or whose lease ended, are free.
  CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    used_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sessions_owner ON sessions (owner, lease_until);
  CREATE INDEX sessions_lease ON sessions (lease_until);

  -- What has begun under the rate of a limit: when it would be paid for, epoch microseconds.
  CREATE TABLE limits (
    limit_key TEXT PRIMARY KEY NOT NULL,
    arrival_us INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- Messages to the activities of a session. Numbers never come back (AUTOINCREMENT): a reader names the last one that it took.
  CREATE TABLE session_messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    payload TEXT NOT NULL,
    sent_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX session_messages_session ON session_messages (session_id, seq);

  -- Topic patterns of living instances.
  CREATE TABLE subscriptions (
    instance_id TEXT NOT NULL,
    pattern TEXT NOT NULL,
    is_wild INTEGER NOT NULL,         -- 1: the pattern has wildcards
    PRIMARY KEY (instance_id, pattern)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX subscriptions_pattern ON subscriptions (pattern);
  CREATE INDEX subscriptions_wild ON subscriptions (pattern) WHERE is_wild = 1;

  -- Key-value pairs of instances; they outlive the end.
  CREATE TABLE instance_values (
    instance_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, key)
  ) STRICT, WITHOUT ROWID;

  -- Runtimes that said that they live.
  CREATE TABLE runtimes (
    runtime_id TEXT PRIMARY KEY NOT NULL,
    payload TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- One row a turn: its events as a JSON array (measured 20-25 % faster than one row an event).
  CREATE TABLE history (
    instance_key INTEGER NOT NULL,
    execution_id INTEGER NOT NULL,
    first_event_id INTEGER NOT NULL,
    last_event_id INTEGER NOT NULL,
    events TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX history_order ON history (instance_key, execution_id, first_event_id);

  -- Executions that continued as new; the current one stands in instances.
  CREATE TABLE past_executions (
    instance_id TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT,
    last_event_id INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, execution_id)
  ) STRICT, WITHOUT ROWID;

  -- For people with a SQL shell: one event a row.
  CREATE VIEW history_events AS
    SELECT i.instance_id, h.execution_id,
           e.value ->> 'id' AS event_id, e.value ->> 'kind' AS kind, e.value ->> 'atMs' AS at_ms, e.value AS event
    FROM history h JOIN instances i ON i.instance_key = h.instance_key, json_each(h.events) e;
  `,
  `
  -- For people who look: when an instance ended (NULL: it has not), the search attributes that it has (JSON; NULL none), and its status when that is one
  -- that people look for (NULL: it goes well).
  ALTER TABLE instances ADD COLUMN ended_at INTEGER;
  ALTER TABLE instances ADD COLUMN stopped_as TEXT;
  ALTER TABLE instances ADD COLUMN attributes TEXT;
  -- The execution that it began with: more than 1 when it replaced another instance.
  ALTER TABLE instances ADD COLUMN first_execution_id INTEGER NOT NULL DEFAULT 1;
  UPDATE instances SET first_execution_id = ifnull((SELECT min(p.execution_id) FROM past_executions p WHERE p.instance_id = instances.instance_id),
    execution_id) WHERE execution_id > 1;
  UPDATE instances SET ended_at = updated_at WHERE status IN ('Completed', 'Failed', 'Cancelled', 'Terminated');
  -- In the order of starts: all, and those of a name.
  CREATE INDEX instances_created ON instances (created_at);
  CREATE INDEX instances_names ON instances (name, created_at);
  -- Living ones of a name in the order of starts, and ended ones in that of ends: two entries in the life of an instance, none for its turns.
  CREATE INDEX instances_listing ON instances (name, ended_at, created_at);
  UPDATE instances SET stopped_as = status WHERE status IN ('Failed', 'Cancelled', 'Terminated', 'Suspended', 'Quarantined');
  -- Few rows, whatever the store has. Not on the status itself: each turn writes that, and would look into the index (8 us of 48, measured).
  CREATE INDEX instances_stopped ON instances (stopped_as) WHERE stopped_as IS NOT NULL;

  -- Search attributes one by one; values are JSON.
  CREATE TABLE instance_attributes (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    instance_key INTEGER NOT NULL,
    PRIMARY KEY (key, value, instance_key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX instance_attributes_instance ON instance_attributes (instance_key);
  `,
];
