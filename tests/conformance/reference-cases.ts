// The validation suite of the reference system, by the names of its cases, and which case of ours asks for the same. Ours are named after
// behaviour, and a store of ours behaves otherwise here and there: `note` says how. Neighbour: reference-cases.test.ts holds the table.

/** A case of the reference suite. */
export type ReferenceCase = {
  readonly name: string;
  /** Names of conformance cases. */
  readonly by: readonly string[];
  /** Why there is none, or why ours differ; null: they ask for the same. */
  readonly note: string | null;
};

/** A group of the reference suite, with the number of cases that it has. */
export type ReferenceGroup = { readonly group: string; readonly size: number; readonly cases: readonly ReferenceCase[] };

type Row = readonly string[] | { readonly by: readonly string[]; readonly note: string };

function group(name: string, size: number, rows: Readonly<Record<string, Row>>): ReferenceGroup {
  const cases = Object.entries(rows).map(([caseName, row]): ReferenceCase =>
    'note' in row ? { name: caseName, by: row.by, note: row.note } : { name: caseName, by: row, note: null },
  );
  return { group: name, size, cases };
}

const EXISTS_FROM_START = 'an instance exists from its start on (P4), not from its first ack on';
const FENCED_BY_BASE = 'a page has no ids of its own: it must begin behind the last stored event, so that no id can come twice';
const WORK_BY_KEY = 'the state of the orchestration is not told with its work: work that nobody wants any more is removed (T61)';
const BY_PREDICATE = 'the filter is a function of the code, so ranges of versions are the business of who asks: src/main/capability.ts';
const NO_SNAPSHOT = 'orchestrations read their values from history; the store only keeps a copy for others';
const NO_DELTA = 'the store has one copy of the values that changes with each turn: there is nothing to merge';
const TREE = 'the client puts a tree together of lists by parent';
const FAMILIES = 'a delete is atomic for an instance with its descendants, which always go along; several instances go each by itself';
const BULK = 'bulk calls are the client’s: a list by a filter, and the call for each that it gives';
const REPLACED = 'also by replacing an instance, which removes the old one with all that it has';

/** All groups. */
export const REFERENCE_GROUPS: readonly ReferenceGroup[] = [
  group('instance creation', 4, {
    instance_creation_via_metadata: {
      by: ['a started instance is Pending and has what its start says', 'an instance without version gets one at its first turn'],
      note: EXISTS_FROM_START,
    },
    no_instance_creation_on_enqueue: {
      by: [
        'T6 a message for an unknown instance is notFound and is not kept',
        'an ack of an instance that does not exist is instanceGone and does not create it',
      ],
      note: EXISTS_FROM_START,
    },
    null_version_handling: ['an instance without version gets one at its first turn', 'the next execution may leave its version open'],
    sub_orchestration_instance_creation: {
      by: ['a child that an ack starts is handed out', 'a refused ack leaves no trace of anything that it asks for'],
      note: EXISTS_FROM_START,
    },
  }),
  group('atomicity', 4, {
    atomicity_failure_rollback: [
      'an ack from another base event is a conflict, stores nothing and keeps the lock',
      'a refused ack leaves no trace of anything that it asks for',
    ],
    multi_operation_atomic_ack: ['one ack stores everything that its turn asks for'],
    lock_released_only_on_successful_ack: [
      'a committed ack releases the lock',
      'an ack from another base event is a conflict, stores nothing and keeps the lock',
      'an ack for another execution is a conflict and keeps the lock',
    ],
    concurrent_ack_prevention: [
      'of two acks with one token at the same time one commits',
      'of two acks with one token in a batch only the first commits',
      'of two acks of one turn through two providers one commits',
    ],
  }),
  group('errors', 5, {
    invalid_lock_token_on_ack: ['an ack with a foreign token is lockLost and the owner can still ack'],
    duplicate_event_id_rejection: {
      by: ['an ack from another base event is a conflict, stores nothing and keeps the lock'],
      note: FENCED_BY_BASE,
    },
    missing_instance_metadata: [
      'an ack of an instance that does not exist is instanceGone and does not create it',
      'histories that do not exist are empty',
      'reading unknown instances gives null in their places',
    ],
    corrupted_serialization_data: ['T51 payloads that nobody can read are handed on as they are and block nobody'],
    lock_expiration_during_ack: ['T59 an ack after the lock expired is lockLost though nobody took the instance'],
  }),
  group('instance locks', 11, {
    exclusive_instance_lock: ['a locked instance is not handed out again'],
    lock_token_uniqueness: ['T30 every fetch has a lock token of its own', 'T30 lock tokens cannot be guessed from each other'],
    invalid_lock_token_rejection: [
      'an ack with a foreign token is lockLost and the owner can still ack',
      'an abandon with a foreign token is lockLost and keeps the lock',
    ],
    concurrent_instance_fetching: ['fetches at the same time hand out different instances'],
    completions_arriving_during_lock_blocked: [
      'a locked instance is not handed out again',
      'work can be fetched while its instance is locked',
    ],
    cross_instance_lock_isolation: ['the lock of one instance does not hide another'],
    message_tagging_during_lock: ['a message that arrives during a turn survives its ack'],
    ack_only_affects_locked_messages: ['an ack removes the messages that it names and no others'],
    multi_threaded_lock_contention: [
      'fetches at the same time hand out different instances',
      'two providers never hand out the same instance or work item',
    ],
    multi_threaded_no_duplicate_processing: ['two providers never hand out the same instance or work item'],
    multi_threaded_lock_expiration_recovery: ['of several fetches at the expiry exactly one gets the instance'],
  }),
  group('lock expiry', 13, {
    lock_expires_after_timeout: ['a lock holds to its last millisecond', 'an expired lock hands the instance out again with a new token'],
    abandon_releases_lock_immediately: ['an abandoned instance can be fetched at once'],
    lock_renewal_on_ack: ['a committed ack releases the lock'],
    concurrent_lock_attempts_respect_expiration: [
      'of several fetches at the expiry exactly one gets the instance',
      'a lock holds to its last millisecond',
    ],
    worker_lock_renewal_success: ['a renewed work lock lasts lockMs from the renewal'],
    worker_lock_renewal_invalid_token: ['T8 a renewal tells a lost work lock from a cancelled activity'],
    worker_lock_renewal_after_expiration: ['T8 a renewal tells a lost work lock from a cancelled activity'],
    worker_lock_renewal_extends_timeout: ['a renewed work lock lasts lockMs from the renewal'],
    worker_lock_renewal_after_ack: ['a renewal after the ack is gone'],
    abandon_work_item_releases_lock: ['an abandoned work item can be fetched at once'],
    abandon_work_item_with_delay: ['T58 a delayed abandon hides the work item until the delay is over'],
    worker_ack_fails_after_lock_expiry: ['T59 a worker ack after lock expiry is refused'],
    orchestration_lock_renewal_after_expiration: ['a lock that expired cannot be renewed'],
  }),
  group('executions', 5, {
    execution_isolation: ['executions have histories of their own'],
    latest_execution_detection: [
      'the next execution starts with its own name, version and message',
      'a long chain of executions keeps counting',
    ],
    execution_id_sequencing: ['a long chain of executions keeps counting'],
    continue_as_new_creates_new_execution: ['the next execution starts with its own name, version and message'],
    execution_history_persistence: [
      'executions have histories of their own',
      'executions go on counting after a restart, and the histories of all are there',
    ],
  }),
  group('queues', 8, {
    worker_queue_fifo_ordering: ['work items come in the order in which they were scheduled'],
    worker_peek_lock_semantics: [
      'a locked work item is not handed out again',
      'an expired work lock hands the item out again with a new token',
    ],
    worker_ack_atomicity: ['an ack removes the work item and sends its completion', 'a repeated ack of work is gone and completes once'],
    timer_delayed_visibility: ['a timer is handed out at its time, never before'],
    lost_lock_token_handling: [
      'an expired lock hands the instance out again with a new token',
      'an expired work lock hands the item out again with a new token',
    ],
    worker_item_immediate_visibility: ['a work item is handed out with all that its activity needs'],
    worker_delayed_visibility_skips_future_items: [
      'T58 a delayed abandon hides the work item until the delay is over',
      'a work token is worth nothing after a delayed abandon',
    ],
    orphan_queue_messages_dropped: {
      by: [
        'T6 a message for an unknown instance is notFound and is not kept',
        'T57 messages to an id that is free now do not wait for an instance to come',
        'T7 messages that arrive before the first turn are handed out behind the start',
      ],
      note: 'a message to nobody is refused at once, so that none has to be dropped later',
    },
  }),
  group('management', 7, {
    list_instances: [
      'instances are listed in the order of their ids',
      'pages follow each other without gaps or repetitions, and the last one says so',
    ],
    list_instances_by_status: ['every filter finds what it says, in every order, alone and with others'],
    list_executions: ['executions are listed, the oldest first, the current one last'],
    get_instance_info: ['a listed record is the record that a read gives', 'a started instance is Pending and has what its start says'],
    get_execution_info: ['executions are listed, the oldest first, the current one last'],
    get_system_metrics: ['instances, executions and events of the store are counted by status'],
    get_queue_depths: ['messages count until an ack removes them', 'timers that are not yet due count', 'work items count while they run'],
  }),
  group('long polls', 5, {
    short_poll_returns_immediately: ['a fetch without time to wait returns at once'],
    short_poll_work_item_returns_immediately: ['a fetch without time to wait returns at once'],
    long_poll_waits_for_timeout: ['a fetch ends with nothing when its time is up, not before'],
    long_poll_work_item_waits_for_timeout: ['a fetch ends with nothing when its time is up, not before'],
    fetch_respects_timeout_upper_bound: ['a fetch ends with nothing when its time is up, not before'],
  }),
  group('attempts', 9, {
    orchestration_attempt_count_starts_at_one: ['a fetch tells all that a first turn needs'],
    orchestration_attempt_count_increments_on_refetch: ['an abandoned message counts its attempts'],
    worker_attempt_count_starts_at_one: ['a work item is handed out with all that its activity needs'],
    worker_attempt_count_increments_on_lock_expiry: ['an expired work lock hands the item out again with a new token'],
    attempt_count_is_per_message: ['T49 attempts are counted for each message'],
    max_attempt_count_across_message_batch: {
      by: ['T49 attempts are counted for each message'],
      note: 'each message has its own count: one old message must not stand for the new ones (T49)',
    },
    abandon_work_item_ignore_attempt_decrements: [
      'an abandon of work that does not count takes the attempt back',
      'an abandon of work that does not count keeps earlier attempts',
    ],
    abandon_orchestration_item_ignore_attempt_decrements: ['an abandon that does not count takes the attempt back'],
    ignore_attempt_never_goes_negative: [
      'abandons that do not count never take more than their own attempt',
      'an abandon of work that does not count takes the attempt back',
    ],
  }),
  group('cancellation', 16, {
    fetch_returns_running_state_for_active_orchestration: {
      by: ['work can be fetched while its instance is locked'],
      note: WORK_BY_KEY,
    },
    fetch_returns_terminal_state_when_orchestration_completed: {
      by: ['an instance that is Completed has no messages, timers and work items left'],
      note: WORK_BY_KEY,
    },
    fetch_returns_terminal_state_when_orchestration_failed: {
      by: ['an instance that is Failed has no messages, timers and work items left'],
      note: WORK_BY_KEY,
    },
    fetch_returns_terminal_state_when_orchestration_continued_as_new: {
      by: ['T3 the same event of two executions is two work items'],
      note: WORK_BY_KEY,
    },
    fetch_returns_missing_state_when_instance_deleted: {
      by: ['an instance that replaces another has nothing of it'],
      note: `${WORK_BY_KEY}; ${REPLACED}`,
    },
    renew_returns_running_when_orchestration_active: ['a renewed work lock lasts lockMs from the renewal'],
    renew_returns_terminal_when_orchestration_completed: {
      by: ['T61 work of an ended instance is gone for who runs it'],
      note: WORK_BY_KEY,
    },
    renew_returns_missing_when_instance_deleted: {
      by: ['an activity of a replaced instance cannot complete into the new one'],
      note: REPLACED,
    },
    ack_work_item_none_deletes_without_enqueue: ['an ack without completion only removes the work item'],
    cancelled_activities_deleted_from_worker_queue: ['T61 a cancelled activity that is queued never runs'],
    ack_work_item_fails_when_entry_deleted: ['T61 the result of a cancelled activity that runs is dropped'],
    renew_fails_when_entry_deleted: ['T8 a renewal tells a lost work lock from a cancelled activity'],
    cancelling_nonexistent_activities_is_idempotent: ['cancelling activities that do not exist is no error'],
    batch_cancellation_deletes_multiple_activities: [
      'T61 a cancelled activity that is queued never runs',
      'one turn may ask for 5,000 things of each kind',
    ],
    same_activity_in_worker_items_and_cancelled_is_noop: ['T28 an activity that is scheduled and cancelled in one ack is absent'],
    orphan_activity_after_instance_force_deletion: {
      by: ['an activity of a replaced instance cannot complete into the new one', 'T61 work of an ended instance is gone for who runs it'],
      note: REPLACED,
    },
  }),
  group('deletion', 13, {
    delete_terminal_instances: ['an instance that has ended goes with all that it had'],
    delete_running_rejected_force_succeeds: ['one that lives stays, unless it is forced'],
    delete_nonexistent_instance: ['an unknown instance is not found'],
    delete_cleans_queues_and_locks: {
      by: ['the id can be used again, and nothing of before is there', 'an instance that replaces another has nothing of it'],
      note: REPLACED,
    },
    cascade_delete_hierarchy: ['children and their children go along, and count', 'a child goes with its parent, and not before it'],
    force_delete_prevents_ack_recreation: {
      by: [
        'a turn under way loses its lock',
        'a turn of a replaced instance loses its lock and recreates nothing',
        'T31 an instance that is replaced during its turn is not brought back by the ack',
      ],
      note: REPLACED,
    },
    list_children: ['children are listed by their parent'],
    delete_get_parent_id: ['a fetch tells who the parent is and since when the instance exists', 'children are listed by their parent'],
    delete_get_instance_tree: { by: ['children are listed by their parent'], note: TREE },
    delete_instances_atomic: {
      by: ['a child that lives keeps all of its family', 'many are deleted at once, each by itself, in order'],
      note: FAMILIES,
    },
    delete_instances_atomic_force: { by: ['one that lives stays, unless it is forced', 'a large family is deleted'], note: FAMILIES },
    delete_instances_atomic_orphan_detection: {
      by: ['children and their children go along, and count', 'living children that their parent abandons stay, without a parent'],
      note: FAMILIES,
    },
    stale_activity_after_delete_recreate: {
      by: ['an activity under way is gone', 'an activity of a replaced instance cannot complete into the new one'],
      note: REPLACED,
    },
  }),
  group('pruning', 4, {
    prune_options_combinations: ['by number and age only those go that are both'],
    prune_safety: ['the current execution and the values stay, also of an instance that has ended'],
    prune_bulk: { by: ['executions are pruned by their number', 'executions are pruned by their age'], note: BULK },
    prune_bulk_includes_running_instances: ['an instance goes on after its past was pruned'],
  }),
  group('bulk deletion', 4, {
    bulk_deletion_filter_combinations: { by: ['every filter finds what it says, in every order, alone and with others'], note: BULK },
    bulk_deletion_safety_and_limits: {
      by: [
        'one that lives stays, unless it is forced',
        'a child goes with its parent, and not before it',
        'many are deleted at once, each by itself, in order',
      ],
      note: BULK,
    },
    bulk_deletion_completed_before_filter: {
      by: ['instances that have ended are listed in the order of their ends, and only those'],
      note: BULK,
    },
    bulk_deletion_cascades_to_children: { by: ['children and their children go along, and count'], note: BULK },
  }),
  group('capability filter', 20, {
    fetch_with_filter_none_returns_any_item: ['a fetch without filter takes instances of any code'],
    fetch_with_compatible_filter_returns_item: ['a fetch takes an instance whose code it accepts'],
    fetch_with_incompatible_filter_skips_item: ['a fetch skips an instance whose code it does not accept'],
    fetch_filter_skips_incompatible_selects_compatible: ['a fetch finds what it accepts behind what it skips'],
    fetch_filter_does_not_lock_skipped_instances: ['a skipped instance is neither locked nor charged an attempt'],
    fetch_filter_null_pinned_version_always_compatible: {
      by: ['the code of a new instance has no version and no engine yet'],
      note: BY_PREDICATE,
    },
    fetch_filter_boundary_versions: { by: ['a committed turn pins version and engine'], note: BY_PREDICATE },
    pinned_version_stored_via_ack_metadata: ['a committed turn pins version and engine'],
    pinned_version_immutable_across_ack_cycles: ['later turns leave the code as it is'],
    continue_as_new_execution_gets_own_pinned_version: ['the next execution has code of its own'],
    filter_with_empty_supported_versions_returns_nothing: ['a filter that accepts nothing gets nothing'],
    concurrent_filtered_fetch_no_double_lock: ['fetches with the same filter at the same time hand out different instances'],
    ack_stores_pinned_version_via_metadata_update: ['a committed turn pins version and engine'],
    provider_updates_pinned_version_when_told: ['the store does not hold a turn to the version before'],
    fetch_corrupted_history_filtered_vs_unfiltered: [
      'T26 code filters are asked before a history is looked at',
      'a history that nobody can read is neither read nor in the way of the filter',
    ],
    fetch_deserialization_error_increments_attempt_count: [
      'T26 an instance whose history is damaged is still handed out, and its attempts count',
    ],
    fetch_deserialization_error_eventually_reaches_poison: {
      by: ['T26 an instance whose history is damaged is still handed out, and its attempts count'],
      note: 'when attempts are too many is for the runtime to say; tests/integration/bad-input.test.ts shows the quarantine',
    },
    fetch_filter_applied_before_history_deserialization: ['T26 code filters are asked before a history is looked at'],
    fetch_single_range_only_uses_first_range: {
      by: ['a fetch finds what it accepts behind what it skips'],
      note: `a limit of the reference that we do not have: ${BY_PREDICATE}`,
    },
    ack_appends_event_to_corrupted_history: ['the end of an instance can be written behind a damaged history'],
  }),
  group('sessions', 33, {
    non_session_items_fetchable_by_any_worker: ['items without a session go to anyone'],
    session_item_claimable_when_no_session: ['a session that nobody holds can be claimed'],
    session_affinity_same_worker: ['later items of a session go to its owner'],
    session_affinity_blocks_other_worker: ['items of a session do not go to others while its lease lasts'],
    different_sessions_different_workers: ['different sessions may go to different owners'],
    mixed_session_and_non_session_items: ['a worker with sessions takes all items, oldest first'],
    session_claimable_after_lock_expiry: ['a session can be claimed by another owner when its lease ended'],
    none_session_skips_session_items: ['a worker without sessions skips their items'],
    some_session_returns_all_items: ['a worker with sessions takes all items, oldest first'],
    renew_session_lock_active: ['a renewed lease lasts leaseMs from the renewal'],
    renew_session_lock_skips_idle: ['the lease of an idle session is not extended'],
    renew_session_lock_no_sessions: ['who holds no session renews none'],
    cleanup_removes_expired_no_items: ['a session without items is forgotten and can be claimed anew'],
    cleanup_keeps_sessions_with_pending_items: {
      by: [
        'a session can be claimed by another owner when its lease ended',
        'messages outlive a session that is forgotten, but not for ever',
      ],
      note: 'nobody can see whether a session without a lease is remembered: it is free either way, and its messages stay',
    },
    cleanup_keeps_active_sessions: ['a session whose lease lasts is kept without items'],
    ack_updates_session_last_activity: ['an ack marks its session as used'],
    renew_work_item_updates_session_last_activity: ['a renewal of an item marks its session as used'],
    session_items_processed_in_order: ['items of a session come in the order in which they were scheduled'],
    non_session_items_returned_with_session_config: ['a worker with sessions takes all items, oldest first'],
    shared_worker_id_any_caller_can_fetch_owned_session: ['every fetch of an owner may take items of its session'],
    concurrent_session_claim_only_one_wins: ['of several owners at the same time one gets a session'],
    session_takeover_after_lock_expiry: ['a session can be claimed by another owner when its lease ended'],
    cleanup_then_new_item_recreates_session: ['a session without items is forgotten and can be claimed anew'],
    abandoned_session_item_retryable: ['an item of a session that was given back goes to the owner'],
    abandoned_session_item_ignore_attempt: ['an item of a session that was given back goes to the owner'],
    renew_session_lock_after_expiry_returns_zero: ['a lease that ended cannot be renewed'],
    original_worker_reclaims_expired_session: ['the owner can claim its session again when its lease ended'],
    activity_lock_expires_session_lock_valid_same_worker_refetches: [
      'an item whose lock expired goes back to the owner while the lease lasts',
    ],
    session_lock_expires_new_owner_gets_redelivery: ['an item goes to a new owner when lock and lease have ended'],
    session_lock_expires_same_worker_reacquires: ['the owner can claim its session again when its lease ended'],
    both_locks_expire_different_worker_claims: ['an item goes to a new owner when lock and lease have ended'],
    session_lock_expires_activity_lock_valid_ack_succeeds: ['an activity is acked after the lease of its session ended'],
    session_lock_renewal_extends_past_original_timeout: [
      'a renewed lease lasts leaseMs from the renewal',
      'a lease can be renewed again and again while its session is in use',
    ],
  }),
  group('custom status', 7, {
    custom_status_set: ['every change of the custom status raises its version'],
    custom_status_clear: ['every change of the custom status raises its version'],
    custom_status_none_preserves: ['every change of the custom status raises its version'],
    custom_status_version_increments: ['every change of the custom status raises its version'],
    custom_status_polling_no_change: ['a turn that leaves the custom status alone does not end a wait for it'],
    custom_status_nonexistent_instance: [
      'a wait for an unknown instance gives null at once',
      'reading unknown instances gives null in their places',
    ],
    custom_status_default_on_new_instance: ['a started instance is Pending and has what its start says'],
  }),
  group('tags', 10, {
    default_only_fetches_untagged: ['a worker for the default queue takes items without a tag'],
    tags_fetches_only_matching: ['a worker for a tag takes items with that tag only'],
    default_and_fetches_untagged_and_matching: ['a worker for the default queue and a tag takes both, oldest first'],
    none_filter_returns_nothing: ['a worker for no tag at all takes nothing'],
    multi_tag_filter: ['a worker for several tags takes all of them'],
    tag_round_trip_preservation: ['a worker gets the routing as it was scheduled'],
    any_filter_fetches_everything: ['a worker for any tag takes everything'],
    tag_survives_abandon_and_refetch: ['a tag survives an abandon, an expired lock and a renewal'],
    multi_runtime_tag_isolation: ['workers of different tags do not take from each other'],
    tag_preserved_through_ack_orchestration_item: ['a worker gets the routing as it was scheduled'],
  }),
  group('values', 35, {
    set_and_get: ['a value that a turn writes can be read with its time'],
    overwrite: ['writing a key again replaces its value and time, and only its own'],
    clear_single: ['a key can be deleted'],
    clear_all: ['all keys can be deleted'],
    get_nonexistent: ['keys that do not exist are left out'],
    get_unknown_instance: ['an unknown instance has no values'],
    clear_nonexistent_key: ['deleting a key that does not exist is no error'],
    set_after_clear: ['of several writes of a key in one turn the last counts', 'a key that was deleted can be written again'],
    snapshot_in_fetch: { by: ['a fetch brings the values of the executions before the current one'], note: NO_SNAPSHOT },
    snapshot_after_clear_single: { by: ['a key can be deleted'], note: NO_SNAPSHOT },
    snapshot_after_clear_all: { by: ['all keys can be deleted'], note: NO_SNAPSHOT },
    snapshot_empty: { by: ['a new instance has no values'], note: NO_SNAPSHOT },
    snapshot_cross_execution: { by: ['values outlive continue-as-new'], note: NO_SNAPSHOT },
    execution_id_tracking: {
      by: ['values of the turn that continues as new count', 'values outlive continue-as-new'],
      note: 'values belong to the instance, not to an execution of it',
    },
    cross_execution_overwrite: ['values outlive continue-as-new'],
    cross_execution_remove_readd: ['values outlive continue-as-new'],
    prune_preserves_overwritten: ['the current execution and the values stay, also of an instance that has ended'],
    prune_preserves_all_keys: ['the current execution and the values stay, also of an instance that has ended'],
    prune_current_execution_protected: ['the current execution and the values stay, also of an instance that has ended'],
    instance_isolation: ['values of one instance are not those of another'],
    clear_isolation: ['values of one instance are not those of another'],
    delete_instance_cascades: {
      by: ['an instance that has ended goes with all that it had', 'values do not reach an instance that replaces theirs'],
      note: REPLACED,
    },
    delete_instance_with_children: ['children and their children go along, and count'],
    empty_value: ['an empty value is a value'],
    large_value: ['large values come back unchanged'],
    special_chars_in_key: ['hostile keys and values come back unchanged'],
    delta_snapshot_excludes_current_execution: {
      by: ['a fetch brings the values of the executions before the current one'],
      note: NO_SNAPSHOT,
    },
    delta_snapshot_includes_completed_execution: {
      by: ['a fetch brings the values of the executions before the current one'],
      note: NO_SNAPSHOT,
    },
    delta_client_reads_merged: { by: ['values outlive continue-as-new'], note: NO_DELTA },
    delta_tombstone_overrides_store: { by: ['values outlive continue-as-new'], note: NO_DELTA },
    delta_clear_all_tombstones_store: { by: ['all keys can be deleted'], note: NO_DELTA },
    delta_merged_on_completion: { by: ['values can be read of an instance that is Completed'], note: NO_DELTA },
    delta_merged_on_can: { by: ['values of the turn that continues as new count'], note: NO_DELTA },
    delta_delete_instance_cascades: {
      by: ['an instance that has ended goes with all that it had', 'values do not reach an instance that replaces theirs'],
      note: `${NO_DELTA}; ${REPLACED}`,
    },
    delta_prune_untouched_key_survives: {
      by: ['the current execution and the values stay, also of an instance that has ended'],
      note: NO_DELTA,
    },
  }),
  group('later: figures of an instance', 3, {
    get_instance_stats_counts: ['executions are listed, the oldest first, the current one last'],
    get_instance_stats_bytes: ['the size of the history of an instance is told in bytes'],
    get_instance_stats_carry_forward: {
      by: ['the start of the next execution comes before messages that are left over'],
      note: 'nothing is carried forward: messages stay on the queue of the instance, in order, and count there',
    },
  }),
  group('later: reading damaged rows', 2, {
    read_surfaces_bad_rows: ['T28 damaged pages are read as they are or refused, never left out'],
    read_with_execution_surfaces_bad_rows: ['T28 damaged pages are read as they are or refused, never left out'],
  }),
  group('what the reference suite lacks', 15, {
    early_messages_never_starve_others: [
      'T6 messages for unknown and ended instances never block others',
      'T6 a flood of messages to unknown ids takes no room and no time of others',
      'T7 messages to a delayed instance are kept and come behind its start',
    ],
    classification_of_transient_errors: [
      'T39 a rejection is a ProviderError with its operation and whether to try again',
      'a failure that passes is told as retryable, one that stays is not',
    ],
    renewal_of_session_and_item_under_clock_skew: [
      'T54 an item and its session that are renewed after the clock was set back last from then',
    ],
    repeated_ack_after_a_lost_reply: [
      'a repeated ack is lockLost and changes nothing',
      'a repeated ack of work is gone and completes once',
      'a lost reply may be asked for again: the second ack of a batch changes nothing',
    ],
    more_than_1000_bind_variables: [
      'T35 batches of 10,000 pass through every method',
      'T35 10,000 publications and 10,000 work items that are given back are each answered',
      'many keys are written and read in one call',
    ],
    fairness_across_instances: [
      'T50 an instance gets its turn under a constant stream of messages to others',
      'T50 work of one instance that schedules much does not keep the work of others waiting for ever',
    ],
    starvation_of_tagged_work: [
      'T37 tagged work that nobody takes is told to its orchestration when it expires',
      'T37 thousands of items with a tag do not keep the default queue waiting',
    ],
    queue_depths_while_locked: ['messages count until an ack removes them', 'work items count while they run'],
    sane_times_of_creation_and_update: [
      'T29 times of creation and update are the times of the store in epoch milliseconds',
      'T29 an ack moves the time of update, not that of creation',
    ],
    two_providers_with_different_clocks: ['T54 a provider whose clock is ahead takes a lock early, and then the first result is refused'],
    crash_between_statements: {
      by: ['what was answered is there after a crash', 'many restarts lose and repeat nothing'],
      note: 'a case cannot stop a store between two of its statements: `npm run stress -- kill` kills processes at any moment',
    },
    large_batches: ['T35 batches of 10,000 pass through every method', 'one turn may ask for 5,000 things of each kind'],
    locks_of_one_fetch_end_by_themselves: [
      'a renewed lock outlives the others of its fetch',
      'a lock that is renewed for a shorter time ends earlier than before',
      'after a crash the locks of the dead process end one by one',
    ],
    turns_without_a_fetch: [
      'an optimistic turn takes its activities along and queues nothing',
      'an optimistic turn is a conflict while a message waits',
      'of an optimistic turn and acks of its activities at the same time one takes effect',
    ],
    time_to_live: [
      'expired work is handed to who asks for it, whatever its tag and session',
      'messages outlive a session that is forgotten, but not for ever',
      'a runtime counts as alive until its time is over',
    ],
  }),
];

/** Traps of docs/traps.md that a store can fall into: each has cases whose names begin with it. */
export const PROVIDER_TRAPS: readonly number[] = [
  1, 2, 3, 4, 5, 6, 7, 8, 13, 26, 27, 28, 29, 30, 31, 33, 35, 36, 37, 38, 39, 45, 49, 50, 51, 54, 55, 57, 58, 59, 61,
];
