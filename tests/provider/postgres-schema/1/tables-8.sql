
-- Code that instances need: name, version (NULL any), engine behaviour (0 before the first turn). Few rows, never removed.
CREATE TABLE codes (
  code_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  version text,
  engine integer NOT NULL,
  UNIQUE NULLS NOT DISTINCT (name, version, engine)
);
CREATE SEQUENCE message_ids;
CREATE TABLE instances (
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
    PRIMARY KEY (instance_id)) PARTITION BY HASH (instance_id);
CREATE TABLE instances_0 PARTITION OF instances FOR VALUES WITH (MODULUS 8, REMAINDER 0) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE instances_1 PARTITION OF instances FOR VALUES WITH (MODULUS 8, REMAINDER 1) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE instances_2 PARTITION OF instances FOR VALUES WITH (MODULUS 8, REMAINDER 2) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE instances_3 PARTITION OF instances FOR VALUES WITH (MODULUS 8, REMAINDER 3) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE instances_4 PARTITION OF instances FOR VALUES WITH (MODULUS 8, REMAINDER 4) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE instances_5 PARTITION OF instances FOR VALUES WITH (MODULUS 8, REMAINDER 5) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE instances_6 PARTITION OF instances FOR VALUES WITH (MODULUS 8, REMAINDER 6) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE instances_7 PARTITION OF instances FOR VALUES WITH (MODULUS 8, REMAINDER 7) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE messages (
    instance_id text COLLATE "C" NOT NULL,
    visible_at bigint NOT NULL,
    message_id bigint NOT NULL,
    order_at bigint NOT NULL,
    timer_id integer,
    message_key text,
    attempts integer NOT NULL DEFAULT 0,
    payload text NOT NULL,
    PRIMARY KEY (instance_id, visible_at, message_id)) PARTITION BY HASH (instance_id);
CREATE TABLE messages_0 PARTITION OF messages FOR VALUES WITH (MODULUS 8, REMAINDER 0) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE messages_1 PARTITION OF messages FOR VALUES WITH (MODULUS 8, REMAINDER 1) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE messages_2 PARTITION OF messages FOR VALUES WITH (MODULUS 8, REMAINDER 2) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE messages_3 PARTITION OF messages FOR VALUES WITH (MODULUS 8, REMAINDER 3) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE messages_4 PARTITION OF messages FOR VALUES WITH (MODULUS 8, REMAINDER 4) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE messages_5 PARTITION OF messages FOR VALUES WITH (MODULUS 8, REMAINDER 5) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE messages_6 PARTITION OF messages FOR VALUES WITH (MODULUS 8, REMAINDER 6) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE messages_7 PARTITION OF messages FOR VALUES WITH (MODULUS 8, REMAINDER 7) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE work_items (
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
    PRIMARY KEY (instance_id, execution_id, event_id)) PARTITION BY HASH (instance_id);
CREATE TABLE work_items_0 PARTITION OF work_items FOR VALUES WITH (MODULUS 8, REMAINDER 0) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE work_items_1 PARTITION OF work_items FOR VALUES WITH (MODULUS 8, REMAINDER 1) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE work_items_2 PARTITION OF work_items FOR VALUES WITH (MODULUS 8, REMAINDER 2) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE work_items_3 PARTITION OF work_items FOR VALUES WITH (MODULUS 8, REMAINDER 3) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE work_items_4 PARTITION OF work_items FOR VALUES WITH (MODULUS 8, REMAINDER 4) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE work_items_5 PARTITION OF work_items FOR VALUES WITH (MODULUS 8, REMAINDER 5) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE work_items_6 PARTITION OF work_items FOR VALUES WITH (MODULUS 8, REMAINDER 6) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE work_items_7 PARTITION OF work_items FOR VALUES WITH (MODULUS 8, REMAINDER 7) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE history (
    instance_id text COLLATE "C" NOT NULL,
    execution_id integer NOT NULL,
    first_event_id integer NOT NULL,
    last_event_id integer NOT NULL,
    events text NOT NULL,
    PRIMARY KEY (instance_id, execution_id, first_event_id)) PARTITION BY HASH (instance_id);
CREATE TABLE history_0 PARTITION OF history FOR VALUES WITH (MODULUS 8, REMAINDER 0) WITH (fillfactor = 100);
CREATE TABLE history_1 PARTITION OF history FOR VALUES WITH (MODULUS 8, REMAINDER 1) WITH (fillfactor = 100);
CREATE TABLE history_2 PARTITION OF history FOR VALUES WITH (MODULUS 8, REMAINDER 2) WITH (fillfactor = 100);
CREATE TABLE history_3 PARTITION OF history FOR VALUES WITH (MODULUS 8, REMAINDER 3) WITH (fillfactor = 100);
CREATE TABLE history_4 PARTITION OF history FOR VALUES WITH (MODULUS 8, REMAINDER 4) WITH (fillfactor = 100);
CREATE TABLE history_5 PARTITION OF history FOR VALUES WITH (MODULUS 8, REMAINDER 5) WITH (fillfactor = 100);
CREATE TABLE history_6 PARTITION OF history FOR VALUES WITH (MODULUS 8, REMAINDER 6) WITH (fillfactor = 100);
CREATE TABLE history_7 PARTITION OF history FOR VALUES WITH (MODULUS 8, REMAINDER 7) WITH (fillfactor = 100);
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
