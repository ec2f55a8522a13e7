/** Bounds of the driver and its transport, each with its reason. */

const MIB = 1024 * 1024;

/** Messages that wait for a peer whose stream is congested: some seconds of heartbeats and appends. */
export const PEER_QUEUE_MESSAGES = 1024;
/** The same in bytes; twice the core's window, so that the window is what usually limits. */
export const PEER_QUEUE_BYTES = 8 * MIB;
/** Messages leave in deliveries of about this size: large enough to amortize framing. */
export const DELIVERY_BYTES = MIB;
/**
 * How long a peer may not know of a commit that nothing else tells it. Agents hear of their tasks from any
 * manager, so it adds to the time until a task starts; one client that writes on and on needs 1 to 2 ms
 * until its next entries are on their way.
 */
export const COMMIT_NOTICE_MS = 3;
/**
 * How long a follower may leave what is committed unapplied while more comes: with one client that writes on
 * and on, some five writes. It adds to the time until an agent of this manager hears of its task, when others write.
 */
export const APPLY_WAIT_MS = 10;
/** More than this is applied at once: it would keep the main thread busy. */
export const APPLY_WAIT_BYTES = 64 * 1024;
/** What a delivery may have at most: one entry may exceed DELIVERY_BYTES by far. */
export const GRPC_MESSAGE_MAX_BYTES = 64 * MIB;
/** A connection is given up after this time without an answer to a ping. */
export const KEEPALIVE_TIME_MS = 2_000;
export const KEEPALIVE_TIMEOUT_MS = 2_000;
/** A peer that does not answer hello within this time is tried again on a new connection. */
export const OPEN_TIMEOUT_MS = 2_000;
/** Between attempts to open a stream to a peer; below an election timeout, so that votes get out. */
export const RECONNECT_FIRST_MS = 50;
export const RECONNECT_MAX_MS = 300;

/** A proposal of this size still travels alone in one message. */
export const PROPOSAL_MAX_BYTES = 32 * MIB;
/** Proposals between main thread and worker that have no outcome yet. */
export const PROPOSALS_PENDING_MAX = 4096;
/** Read barriers that wait at a time. */
export const READS_PENDING_MAX = 4096;
/** Reports that wait at a time: a few operators and one collector of metrics. */
export const REPORTS_PENDING_MAX = 64;
/** A worker that does not answer within this time is stuck. */
export const REPORT_DEADLINE_MS = 5_000;
/**
 * A read that got no answer is asked again under a new id, after this part of an election timeout (etcd:
 * every 500 ms). An answer to the former id counts no more, so this must be longer than the two round
 * trips that a follower's read takes.
 */
export const READ_RETRY_ELECTIONS = 0.5;
/** Without quorum a read barrier is given up after this time. */
export const READ_DEADLINE_MS = 10_000;
/** A membership change or transfer that has no outcome after this time is given up. */
export const CHANGE_DEADLINE_MS = 10_000;

/**
 * State machine chunks are gathered into frames of about this size: some hundred tasks, which take the main
 * thread 2 to 4 ms.
 */
export const FRAME_BYTES = 64 * 1024;
/** A turn of the main thread goes on with frames for so long. */
export const FRAMES_TURN_MS = 4;
/** One chunk of a state machine; it must fit into a frame, and a frame into a message. */
export const CHUNK_MAX_BYTES = 16 * MIB;
/** Frames under way between the threads, in either direction. */
export const FRAME_WINDOW = 4;
export const SNAPSHOT_EVERY = 10_000;
/** Entries kept behind a snapshot, so that a restarted follower needs none; at most `snapshotEvery`. */
export const TRAILING_ENTRIES = 10_000;
/** Entries since the last one that carry more than this make a snapshot due, however few they are: they are in memory. */
export const SNAPSHOT_EVERY_BYTES = 48 * MIB;
/** Of the trailing entries, those that carry no more than this. */
export const TRAILING_BYTES = 16 * MIB;
/**
 * What a peer that answers still lacks stays as well, up to this: without it a peer that is sent a snapshot
 * while much is written finds that the log does not reach back to it any more, and is sent another one.
 */
export const HELD_BYTES = 64 * MIB;
/** The same in entries, as a multiple of the trailing ones. */
export const HELD_TIMES = 4;
/** After a snapshot could not be written, mostly because the disk is full. */
export const SNAPSHOT_RETRY_MS = 5_000;
/** A snapshot transfer without progress for this time has failed. */
export const SNAPSHOT_IDLE_MS = 10_000;
/** Attempts to resume a fetch before the leader is left to start anew. */
export const SNAPSHOT_FETCH_ATTEMPTS = 5;
/** Transfers out of one leader at a time: each reads the whole file. */
export const SNAPSHOT_SERVED_MAX = 2;

/** How often the worker asks the main thread for a sign of life. */
export const MAIN_PING_MS = 1_000;
/** A main thread silent for this long is stuck: its leader hands over (swarmkit #1658). */
export const MAIN_STUCK_MS = 5_000;
/** A write of this age means a disk that hangs: its leader hands over. */
export const DISK_STUCK_MS = 2_000;
/** Between two hand-overs by a watchdog: the reason may lie elsewhere. */
export const HANDOVER_EVERY_MS = 60_000;
export const HIGH_WATER_SYNC_MS = 1_000;
/** A promoted learner may be this far behind: about what a heartbeat's time can bring. */
export const PROMOTION_GAP_ENTRIES = 1_000;
/** A removed member that no voter has told so goes on answering for so long: it may be needed. */
export const LEAVE_MAX_MS = 60_000;
/** Between two attempts of it to hear that. */
export const LEAVE_ASK_MS = 500;
/** A stopping worker that does not answer within this time is terminated. */
export const STOP_DEADLINE_MS = 5_000;
/** A leader that stops waits this long for its successor. */
export const STOP_HANDOVER_MS = 1_000;
/** A worker that has stopped has so long to close its connections. */
export const STOP_EXIT_MS = 2_000;
