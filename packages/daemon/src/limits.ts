/** Bounds of the daemon, each with its reason. */

/** TCP 4242: cluster API; Raft and the agent's listener take the next two ports. */
export const DEFAULT_PORT = 4_242;
export const RAFT_PORT_OFFSET = 1;
export const AGENT_PORT_OFFSET = 2;

/** A clean shutdown takes a second; a supervisor kills after ten. */
export const SHUTDOWN_MAX_MS = 9_000;
/** What the manager process may take of it. */
export const MANAGER_STOP_MAX_MS = 6_000;
/** From fork to serving: without a sign of work, and as a whole (a large state on a slow disk takes its time). */
export const MANAGER_SILENT_MAX_MS = 60_000;
export const MANAGER_START_MAX_MS = 30 * 60_000;
/** How often a manager that starts looks whether it gets on, and what counts as work. */
export const WORK_LOOK_MS = 5_000;
export const WORK_LEAST_US = 100_000;
/** Pauses before a crashed manager process is started again. */
export const MANAGER_RESTART_FIRST_MS = 200;
export const MANAGER_RESTART_MAX_MS = 10_000;

/** Pauses before a machine that could not continue in its cluster tries again. */
export const RESUME_FIRST_MS = 1_000;
export const RESUME_MAX_MS = 30_000;

/** Pauses before a machine that could not become what it shall be tries again. */
export const ROLE_RETRY_FIRST_MS = 200;
export const ROLE_RETRY_MAX_MS = 10_000;

/** One question to one remote while joining. */
export const JOIN_CALL_MAX_MS = 10_000;
/** Longer than a manager waits for somebody to lead. */
export const QUORUM_CALL_MAX_MS = 8_000;
/** Adding a manager waits for a commit, perhaps across an election. */
export const MEMBERSHIP_CALL_MAX_MS = 20_000;
/** Leaving waits for the containers' grace periods. */
export const DRAIN_MAX_MS = 60_000;

/** Pauses after a renewal that failed; there is a fifth of the certificate's life left to succeed. */
export const RENEW_RETRY_FIRST_MS = 5_000;
export const RENEW_RETRY_MAX_MS = 3_600_000;
/** Timers overflow beyond 24.8 days: look again at least this often. */
export const RENEW_LOOK_MAX_MS = 24 * 3_600_000;
