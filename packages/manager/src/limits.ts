/** Every bound of this package, with its reason. */

/** How long a request or a read waits for somebody to lead; longer than an election takes. */
export const LEADER_WAIT_MS = 5_000;
/** Pause before a forwarded request is tried again when nothing says that the leader changed. */
export const FORWARD_RETRY_MS = 100;
/** How long one forwarded call may take: a Raft commit on a slow disk, not more. */
export const FORWARDED_CALL_MS = 10_000;
/**
 * The same for what a manager itself reports, which nobody waits for. A leader with too much to do answers
 * late; given up, the report would come again, behind all others, and none would ever be answered.
 */
export const OWN_REPORT_MS = 60_000;
/** How long a new leader's first read barrier and first writes may take before it gives up. */
export const LEADERSHIP_OPEN_MS = 10_000;
/** Tasks that a change of a service makes or places itself: others wait for it. The loop does the rest. */
export const CONTROL_PLAN_TASKS_MAX = 20;
/** Plans of one service in one dry run, of 200 tasks each: the leader does nothing else meanwhile. */
export const PREVIEW_PLANS_MAX = 20;
/** Services planned at the same time; their transactions leave as one entry. */
export const SERVICE_LOOP_CONCURRENCY = 64;
/** After a plan, changes of the same service gather so long. The first one is planned at once. */
export const SERVICE_LOOP_DEBOUNCE_MS = 5;

/** So many services are planned together with the ends of tasks of theirs: their plans are a part of that transaction. */
export const PLANNED_WITH_ENDS_MAX = 4;

/** And not more often than so: when tasks fail in masses, one plan for many of them costs less. */
export const PLANNED_WITH_PAUSE_MS = 20;
/** What comes later is asked for again: timers hold 24 days, and clocks are set meanwhile. */
export const SERVICE_LOOP_REQUEUE_MAX_MS = 60 * 60_000;
/** Autoscaled services are looked at so often; agents measure as often. */
export const AUTOSCALE_PERIOD_MS = 5_000;
/** A new leader decides on no number before the agents had time to tell it what their tasks use. */
export const AUTOSCALE_FIRST_MS = 12_000;
/** What sessions report of use gathers so long before it goes to the leader. */
export const USAGE_GATHER_MS = 500;
/** Tasks in one report of use: some 40 bytes each. */
export const USAGE_REPORT_MAX_TASKS = 5_000;
/** Nodes that are lost within this time, and the one they need to be noticed in, are lost together. */
export const MASS_FAILURE_WINDOW_MS = 20_000;
/** Former versions of secrets and configs are looked at this seldom: it reads services and tasks. */
export const FILE_VERSION_LOOP_DEBOUNCE_MS = 2_000;
/**
 * A service with many tasks that wait is planned again so much later after what may help them: nodes
 * that come one after the other, tasks that end, would each cost a look at all its tasks.
 */
export const WAITING_GATHER_MS = 500;
export const WAITING_MANY_TASKS = 200;
/** How often learners' progress is looked at while there are learners. */
export const PROMOTION_POLL_MS = 200;
/** Who demotes a manager is told how far it is after this time at the latest. */
export const DISMISSAL_WAIT_MS = 3_000;
/** So long must a quorum look lost before the removal of a manager is refused; and between two looks. */
export const QUORUM_LOOK_MS = 1_000;
export const QUORUM_LOOK_PAUSE_MS = 50;
/** A manager that may not leave yet is tried again: others may come back meanwhile. */
export const ROLE_RETRY_MS = 1_000;
/** A learner is made voter when so few entries are missing: less than one append message. */
export const PROMOTION_MAX_LAG_ENTRIES = 64;
/** Commits a watcher may be behind before it is cut off: it would hold what is long outdated. */
export const WATCH_QUEUE_COMMITS = 2_000;
/** Watchers of one manager; each sees every commit. */
export const WATCHERS_MAX = 256;
/** Objects in one message to a watcher, so that a message stays far below gRPC's limit. */
export const WATCH_BATCH_CHANGES = 200;
/** Log chunks of 256 KiB waiting for a slow reader of `Logs.subscribe`; agents are held back beyond. */
export const LOG_QUEUE_CHUNKS = 16;
/** How long a node may be away before whoever follows its tasks is told. */
export const LOG_OUTAGE_MS = 15_000;
/** How long the last lines of a task that was forgotten may take to arrive. */
export const LOG_FLUSH_MS = 2_000;
/** Streams to agents for one log request. */
export const LOG_STREAMS_MAX = 1_000;
/** Statuses of one report to the leader, which writes it in one go: some 10 ms of its time. */
export const STATUS_BATCH_MAX = 400;
/** Full reports under way at a time: they are committed together, however long a commit takes. */
export const STATUS_REPORTS_MAX = 8;
/** Unacknowledged statuses of one session; above this its stream is not read. */
export const STATUS_PENDING_MAX = 20_000;
/** How long confirming may take that this replica is up to date; agents then try another manager, or again. */
export const UP_TO_DATE_WAIT_MS = 3_000;
/** How long a new session may take to say hello. */
export const HELLO_WAIT_MS = 10_000;
/**
 * Sessions that work out what is new for their agents in one turn of the event loop: as many as take so
 * long, some 50 us each, and no more than so many, as what they say is encoded in the same turn.
 */
export const HERALD_SLICE_MS = 4;
export const HERALD_SLICE_SESSIONS = 50;
/** What plans and assignments have in common follows the tasks after so many changes at the latest: some 4 ms. */
export const FOLLOW_CHANGES = 2_000;
/**
 * That a node came or went is told to those that have nothing to do with it after this time: in a large
 * cluster it concerns thousands, and nothing they do depends on it.
 */
export const ADDRESSES_GATHER_MS = 1_000;
/** Sessions are reported to the leader so many times a heartbeat period. */
export const SESSION_REPORTS_PER_HEARTBEAT = 2;
/** A manager that reports nothing for so many heartbeat periods stands still: it cannot say who is alive. */
export const SILENT_MANAGER_HEARTBEATS = 1.5;
/** Nodes in one report of sessions: a description is about 1 KiB. */
export const SESSION_REPORT_MAX_NODES = 500;
/** A session that was silent for so many heartbeat periods is ended by its manager. */
export const OVERDUE_HEARTBEATS = 5;
/**
 * After an election, or when their manager is lost, nodes have so many times `nodeDownAfterMs` to be
 * reported by somebody: an agent needs one such time to notice that its manager hangs.
 */
export const GRACE_FACTOR = 2;
/** Connections to agents kept for the next log request. */
export const AGENT_CONNECTIONS_MAX = 256;
/**
 * A manager that knows no leader for so long ends its sessions: the others may be well, and would take
 * its nodes for dead.
 */
export const LEADERLESS_SESSION_MS = 5_000;
/** What agents whose sessions were ended so may need to come back: their longest pause, and a dead end. */
export const AGENT_RECONNECT_MS = 10_000;
/** A node that got its certificate and has not come in this time is removed. */
export const UNJOINED_MAX_MS = 10 * 60_000;
/** Pauses before a manager that moved tells its new address again. */
export const MOVE_RETRY_FIRST_MS = 200;
export const MOVE_RETRY_MAX_MS = 5_000;
/** A stopping leader lets another one take over first, if that goes quickly. */
export const HAND_OVER_MS = 2_000;
/** A lone voter elects itself within an election timeout; the rest is disk. */
export const BOOTSTRAP_MS = 30_000;
/** Nodes in one report of applied networks: some 20 bytes each. */
export const APPLIED_REPORT_MAX_NODES = 5_000;
/**
 * A task that is to stop is told so when every node that balances to it has confirmed that nothing
 * new comes, or after this time: a node that hangs must not hold an update up for long.
 */
export const RELEASE_WAIT_MS = 5_000;
/** Tasks let go of in one transaction. */
export const RELEASE_BATCH_MAX = 1_000;
/** One pull or clean-up of images on a node, as long as the agent itself gives it. */
export const PULL_RELAY_MS = 30 * 60_000;
/** Removed managers whose certificates are refused, some 26 bytes each; more are not removed in a lifetime. */
export const REMOVED_MANAGERS_MAX = 1_000;

/** Keys of encrypted networks last for hours; timers cannot be set for weeks. */
export const KEY_LOOP_LOOKS_MS = 3_600_000;

/**
 * A turn of what the manager puts off begins nothing new after so long: what arrives on a socket, and who waits
 * for an answer, waits for the rest of one turn.
 */
export const TURN_MS = 4;
