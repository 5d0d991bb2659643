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

/** Longest timer or timeout: 100 years, in milliseconds. Reason: later dates are a unit mistake. */
export const MAX_DURATION_MS: number = 100 * 365 * 24 * 60 * 60 * 1000;
