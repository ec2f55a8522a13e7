/** Bounds of the log and of snapshot files. */

/** LevelDB's memtable: fewer level-0 files than with its default of 4 MiB, so shorter write stalls. */
export const MEMTABLE_BYTES = 16 * 1024 * 1024;

/** Snapshots kept: the newest, and the one before for a follower that is still fetching it. */
export const SNAPSHOTS_KEPT = 2;

/** A stored frame longer than this is damage, not data: state machines cut theirs at 16 MiB. */
export const FRAME_MAX_BYTES = 32 * 1024 * 1024;

/** Entries read at a time at start, and about how many bytes of them LevelDB reads ahead. */
export const SCAN_ENTRIES = 1_000;
export const SCAN_BYTES = 1024 * 1024;
