// Every hard limit of the system, each with its reason. A breach is a typed error before anything is committed.
// Neighbours: checked by codec.ts (payloads), names.ts (ids and names) and the replay engine (history, turn).

/** Longest instance id, in UTF-16 units. Reason: it is part of every key in the store; child ids grow by about 10 a level. */
export const MAX_INSTANCE_ID_LENGTH = 512;

/** Longest orchestration, activity, event or version name, in UTF-16 units. Reason: it is stored with every event. */
export const MAX_NAME_LENGTH = 256;

/** Largest encoded payload (input, output, event data), in UTF-8 bytes. Reason: SQLite and the ports copy it several times. */
export const MAX_PAYLOAD_BYTES: number = 4 * 1024 * 1024;

/** Largest encoded custom status, in UTF-8 bytes. Reason: it is rewritten on every change and read by pollers. */
export const MAX_CUSTOM_STATUS_BYTES: number = 256 * 1024;

/** Most events in one execution. Reason: a cold replay must stay well below the turn timeout; use continue-as-new beyond it. */
export const MAX_HISTORY_EVENTS = 100_000;

/** Most messages that one turn takes from the queue. Reason: one busy instance must not hold its replay thread. */
export const MAX_MESSAGES_PER_TURN = 1_000;

/** Most bytes of events carried over by continue-as-new, in UTF-16 units. Reason: they travel inside one start message. */
export const MAX_CARRIED_EVENT_UNITS: number = 2 * 1024 * 1024;

/** Most key-value pairs of an instance. Reason: all of them travel with continue-as-new. */
export const MAX_VALUES = 256;

/** Largest encoded value of a key-value pair, in UTF-8 bytes. Reason: as above. */
export const MAX_VALUE_BYTES: number = 64 * 1024;

/** Most bytes of all key-value pairs of an instance, in UTF-16 units. Reason: as above. */
export const MAX_VALUES_UNITS: number = 1024 * 1024;

/** Most search attributes of an instance. Reason: each is an index entry. */
export const MAX_ATTRIBUTES = 32;

/** Longest text of a search attribute, in UTF-16 units. Reason: it is part of an index entry. */
export const MAX_ATTRIBUTE_LENGTH = 256;

/** Most topic patterns that an instance may be subscribed to. Reason: they travel with continue-as-new. */
export const MAX_SUBSCRIPTIONS = 100;

/** Keys of received events that are remembered over continue-as-new. Reason: a repeat comes soon after its original. */
export const MAX_CARRIED_EVENT_KEYS = 1_000;

/** Highest priority of an orchestration or activity. */
export const MAX_PRIORITY = 9;

/** Largest number in a limit of activities. Reason: beyond it there is no limit to speak of. */
export const MAX_LIMIT_COUNT = 1_000_000;

/** Longest timer or timeout: 100 years, in milliseconds. Reason: later dates are a unit mistake. */
export const MAX_DURATION_MS: number = 100 * 365 * 24 * 60 * 60 * 1000;

/** Largest message, and largest encoded fields, of a log line of user code, in UTF-16 units; what is larger is cut. Reason: lines are for people. */
export const MAX_LOG_LINE_UNITS: number = 64 * 1024;

/** Most log lines of one turn, in UTF-16 units of their text, a line at least 200; the rest is dropped and counted. Reason: a loop that logs. */
export const MAX_TURN_LOG_UNITS: number = 512 * 1024;

/**
 * Most log lines of one thread that main has not taken yet, counted likewise. Reason: a thread may log faster than main can write, and what comes in
 * one batch is written in one go: with some 10,000 lines that takes 0.1 s, in which the host does nothing else.
 */
export const MAX_THREAD_LOG_UNITS: number = 2 * 1024 * 1024;
