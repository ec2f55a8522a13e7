/** Bounds of the agent, each with its reason. */

/** First pause before an interrupted preparation is tried again; doubles each time. */
export const PREPARE_RETRY_FIRST_MS = 500;
export const PREPARE_RETRY_MAX_MS = 8_000;
/** About half a minute in all; after that the task is rejected and the managers may try elsewhere. */
export const PREPARE_ATTEMPTS_MAX = 7;
/** Pause before a failed stop or removal is tried again: the engine is ill, hammering does not help. */
export const CLEANUP_RETRY_MS = 2_000;
/** Limits that a container could not take, e.g. memory below what it uses, are tried again. */
export const LIMITS_RETRY_MS = 30_000;
export const LIMITS_TIMEOUT_MS = 10_000;

/** A task's networks must be in the kernel by then; the state usually comes with the task. */
export const NETWORK_WAIT_MS = 30_000;
export const ATTACH_TIMEOUT_MS = 30_000;
/** Images of several gigabytes over slow links are legitimate. */
export const PULL_TIMEOUT_MS = 30 * 60_000;
/** Each telling of how far a pull is becomes an entry of the raft log. */
export const PULL_PROGRESS_MS = 3_000;
/** The same for whoever watches one pull. */
export const PULL_STREAM_INTERVAL_MS = 250;
export const PREPARE_TIMEOUT_MS = 60_000;
export const START_TIMEOUT_MS = 30_000;
export const REMOVE_TIMEOUT_MS = 60_000;
/** What the engine may need on top of the grace period to see a container end. */
export const STOP_MARGIN_MS = 20_000;
/** Containers of no known task get Swarm's default grace period. */
export const LEFTOVER_GRACE_MS = 10_000;
/** More at the same time only fight for the same cores and the kernel's network lock. */
export const PREPARE_CONCURRENCY = 16;

/** Statuses that follow each other closely leave together. */
export const STATUS_COALESCE_MS = 5;
export const STATUS_BATCH_MAX = 1_000;
/** Statuses not acknowledged by then are sent again in the same session. */
export const STATUS_RESEND_MS = 5_000;

/** Reconnecting: first pause and longest pause. */
export const RECONNECT_FIRST_MS = 100;
export const RECONNECT_MAX_MS = 5_000;
/** From the start of a connection to the manager's welcome. */
export const WELCOME_TIMEOUT_MS = 5_000;
/** A session is dead after so many heartbeat periods without a message. */
export const SILENT_PERIODS_MAX = 3;
/** An answer that takes longer than this part of a heartbeat period is late; as often others are tried. */
export const LATE_ANSWERS_PER_PERIOD = 4;
/** Until a manager has said its period. */
export const HEARTBEAT_DEFAULT_MS = 1_000;
/** Messages to a manager that wait for the stream; more means the manager does not read. */
export const OUTBOX_MAX = 1_024;

export const NETWORK_RETRY_FIRST_MS = 200;
export const NETWORK_RETRY_MAX_MS = 10_000;
/** One run of the network plane, however large the cluster. */
export const NETWORK_APPLY_TIMEOUT_MS = 120_000;

/** Output of a health check kept for its error message. */
export const HEALTH_OUTPUT_MAX_CHARS = 512;

/** A stopping daemon waits so long for the managers to take note: a supervisor kills after ten seconds. */
export const GOODBYE_MAX_MS = 1_000;
/** As Docker keeps. */
export const HEALTH_RESULTS_KEPT = 5;
/** A look at a container's figures costs 30 microseconds; nobody reads faster. */
export const STATS_INTERVAL_MIN_MS = 100;
/** Between two measurements of tasks that managers ask about. */
export const METER_PERIOD_MS = 5_000;
/** For a task's own metric: a slow one must not hold up the others' next measurement. */
export const METRIC_TIMEOUT_MS = 2_000;
/** Of a page of metrics; common ones have some 100 KiB. */
export const METRIC_BYTES_MAX = 4 * 1024 * 1024;
/** Between two looks whether this machine still is what the managers were told. Swarm's figure. */
export const DESCRIBE_PERIOD_MS = 20_000;

/** Interfaces that a node tells of; a machine with more has software that makes them. */
export const INTERFACES_MAX = 64;
