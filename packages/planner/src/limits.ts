/** Bounds and constants of planning. */

/** Tasks one plan makes or places at most; the rest follows at once. Keeps transactions short: some 10 ms. */
export const PLAN_TASKS_MAX = 200;

/** Reasons kept with an object; older ones go. */
export const BECAUSE_MAX = 8;

/**
 * How long a successor waits for its predecessor to stop, beyond the predecessor's own grace
 * period, before it starts anyway. Swarm's figure (restart supervisor, task timeout).
 */
export const STOP_WAIT_MS = 60_000;

/** Tasks on a node that has been down for so long count as gone. Swarm's figure. */
export const NODE_LOST_AFTER_MS = 24 * 3_600_000;

/** A node on which so many tasks of a service failed within the window is chosen last. Swarm's. */
export const NODE_FAILURES_MAX = 5;
export const NODE_FAILURES_WINDOW_MS = 5 * 60_000;

/**
 * Of the tasks that wait for the same, so many tell the newest numbers ("on 17 nodes"); the others are
 * written again only when what is lacking differs. Thousands would be, with every node that comes.
 */
export const EXPLAINED_TASKS_MAX = 10;

/** Nodes that could make room for a task, of which the cheapest is taken. */
export const PREEMPTION_NODES_MAX = 100;

/** 4096 is the ingress plane; VXLAN identifiers have 24 bits. */
export const VNI_MIN = 4_097;
export const VNI_MAX = 2 ** 24 - 1;

/** Networks without a subnet of their own get so much of the pool. */
export const SUBNET_PREFIX_LENGTH = 24;

/** Published ports that the managers choose. Swarm's range. */
export const DYNAMIC_PORT_MIN = 30_000;
export const DYNAMIC_PORT_MAX = 32_767;

/** What a task uses counts so long: agents measure every 5 s, and may miss a few times. */
export const USAGE_FRESH_MS = 20_000;

/** Runs of one job at the same time, of jobs whose schedule allows that. */
export const RUNS_ACTIVE_MAX = 20;
/** Times of a schedule without a run, and runs that gave way to the next one, that are told of. */
export const RUNS_SKIPPED_KEPT = 5;
/** Schedules kept parsed; a parsed one is some 2 KiB. */
export const SCHEDULES_REMEMBERED_MAX = 1_000;

/** Specs a service had that are kept with it: each write of the service carries them all. */
export const SPEC_HISTORY_MAX = 5;

/** Changes of nodes that memos of the nodes may be behind; then they are made anew. */
export const NODE_NEWS_MAX = 65_536;
/** Orders of the nodes by preferences and strategy that are kept: at 5,000 nodes each is some 500 KiB. */
export const BRANCHES_KEPT_MAX = 8;
/** Services named in affinities of which it is kept where they are. */
export const HOSTS_KEPT_MAX = 64;
/** Kinds of waiting tasks for which it is kept what each node lacks: at 5,000 nodes each is some 250 KiB. */
export const STANDINGS_KEPT_MAX = 64;
/** Constraints of global services for which it is kept which nodes meet them: at 5,000 nodes each is some 300 KiB. */
export const SUITABLES_KEPT_MAX = 64;
/** If more nodes would take a task, they are looked at in their order, and nothing that was said before counts. */
export const WILLING_NODES_MAX = 200;
