/** Every bound of this package, with its unit in the name and its reason beside it. */

/** Manifests are capped by registries at 4 MiB; configs are of the same order. */
export const DOCUMENT_MAX_BYTES = 8 * 1024 * 1024;
/** A token is a few KiB at most. */
export const TOKEN_RESPONSE_MAX_BYTES = 1024 * 1024;
/** overlayfs takes at most 500 lower directories; Docker stops at 127. */
export const IMAGE_LAYERS_MAX = 127;
/** Against decompression bombs: no sane layer holds more plain bytes. */
export const LAYER_PLAIN_MAX_BYTES = 64 * 1024 ** 3;
/** Against layers made of millions of empty files. */
export const LAYER_ENTRIES_MAX = 4_000_000;
/** Extended headers of one entry: long names and attributes; the kernel caps one attribute at 64 KiB. */
export const TAR_META_MAX_BYTES = 1024 * 1024;
/** Layers of all images being fetched and unpacked at once: more only makes the disk seek. */
export const PARALLEL_LAYERS = 3;
/** A registry that sends nothing for this long is given up. */
export const REGISTRY_STALL_MS = 30_000;
/** A registry that brings less than this in so much waiting would keep a pull for ever. */
export const REGISTRY_SLOW_WINDOW_MS = 60_000;
export const REGISTRY_SLOW_BYTES = 64 * 1024;
/** How often one download goes on where its connection was lost, each time with new bytes. */
export const RESUMES_MAX = 50;
/** A connection that brought more than this was a good one: no long wait before the next. */
export const RESUME_FRESH_BYTES = 1024 * 1024;
/** Sending gigabytes takes its time; whoever waits can end it. */
export const UPLOAD_TIMEOUT_MS = 30 * 60_000;
/** Archives of images lie on the disk before they are taken apart. */
export const ARCHIVE_MAX_BYTES = 64 * 1024 ** 3;
export const ARCHIVE_FILES_MAX = 10_000;
/** A layer of gigabytes copied on a slow disk. */
export const COPY_TIMEOUT_MS = 600_000;
/** Storage behind registries is one redirect away; behind a balancer two. */
export const REDIRECTS_MAX = 5;
/** Addresses of stored blobs are signed: a few KiB. */
export const RESPONSE_HEADERS_MAX_BYTES = 32 * 1024;
/** Connections that nothing is asked over are closed. */
export const REGISTRY_IDLE_SOCKET_MS = 15_000;
/** How often the unpacking process tells how far it is. */
export const PROGRESS_INTERVAL_MS = 200;
/** What is left of downloads that nobody went on with. */
export const PARTIAL_KEPT_MS = 24 * 3_600_000;
/** Checking whether a tag moved must not hold up a container whose image is here already. */
export const TAG_CHECK_MS = 3_000;
/** A tag that was checked this recently is not asked for again: many replicas start at once. */
export const TAG_FRESH_MS = 10_000;
/** Attempts of one request or layer before its failure is reported. */
export const PULL_ATTEMPTS = 4;
export const PULL_BACKOFF = { firstMs: 200, maxMs: 3_000 };
/** The unpacking process ends when it had nothing to do for this long. */
export const UNPACKER_IDLE_MS = 5_000;
/** Standard error kept of a failing helper program. */
export const STDERR_MAX_CHARS = 8_192;

/** Creating takes tens of milliseconds; a loaded machine may need a hundred times as long. */
export const CREATE_TIMEOUT_MS = 30_000;
/** From SIGKILL to the exit file: the kernel may have gigabytes to give back. */
export const KILL_TIMEOUT_MS = 20_000;
/** How often processes being killed are looked for. */
export const KILL_LOOK_MS = 10;
/** A second of patience with a cgroup whose processes are leaving, in steps of KILL_LOOK_MS. */
export const CGROUP_REMOVE_ROUNDS = 100;
/** Inotify may overflow and a monitor may die silently: everything is looked at this often. */
export const SWEEP_MS = 3_000;
/** A pid that was given away hides a dead monitor from all sweeps but each of so many: for a minute at most. */
export const SWEEP_CLOSE_LOOKS = 20;
/** A mount on local disks takes a millisecond, but the kernel may have to wait for a disk. */
export const MOUNT_TIMEOUT_MS = 30_000;
/** The program that mounts has 3 MiB; starting it takes 5 ms. */
export const MOUNTER_IDLE_MS = 10_000;
/** Containers of an earlier life whose records are read together; the disk has them in its cache. */
export const RESTORE_AT_ONCE = 32;
/** Output kept of one exec. */
export const EXEC_OUTPUT_MAX_CHARS = 64 * 1024;

/** How often a log is looked at that does not grow, or slowly. */
export const LOG_QUIET_MS = 1_500;
/** How often the room on the disk is looked at for logs that suddenly grow: one system call. */
export const LOG_GLANCE_MS = 250;
/** Less than half of a log file: what somebody wrote between two glances to have all logs looked at. */
export const LOG_BURST_BYTES = 4 * 1024 * 1024;
/** A log that fills its file in less than this is over its bound by what comes in between. */
export const LOG_LOOK_MIN_MS = 20;
/** A rotated file that is still there by then is worth the work of compressing it. */
export const LOG_PACK_AFTER_MS = 2_000;
/** A longer line is delivered in pieces. conmon itself cuts at 8 KiB. */
export const LOG_LINE_MAX_BYTES = 256 * 1024;
/** What is read of a log at once: some thousand lines, far below gRPC's 4 MiB. */
export const LOG_CHUNK_BYTES = 256 * 1024;
/** A row of a log file; conmon's are 8 KiB, and JSON may need six bytes for one. */
export const LOG_ROW_MAX_BYTES = 4 * 1024 * 1024;
/** Datagrams of the kernel's usual limits, with room for headers. */
export const DATAGRAM_MAX_BYTES = 60_000;
/** Whoever takes log lines takes a batch of 256 KiB within this, or is tried again later. */
export const SHIP_SEND_TIMEOUT_MS = 10_000;
/** How often the files that wait to be passed on are counted: at 100 MB/s a few of them each time. */
export const SHIP_BOUND_MS = 250;
/** A removed container's last lines: a log server that is there takes them in milliseconds. */
export const SHIP_PATIENCE_MS = 2_000;
export const SHIP_RESTART_MS = 1_000;
/** How often the daemon's log tells of one container that lines are dropped. */
export const SHIP_TROUBLE_MS = 10_000;
/** Some batches of 256 KiB for each container that passes its log on. */
export const SHIP_HEAP_MAX_MIB = 128;
/** With half of it a flood costs twice the time; left to itself V8 takes 20 MiB more and is no faster. */
export const SHIP_YOUNG_MAX_MIB = 8;
/** Bytes of lines held back to answer `tail`. */
export const LOG_TAIL_MAX_BYTES = 8 * 1024 * 1024;
/** Inotify tells of growth at once; this only covers what it may miss. */
export const LOG_POLL_MS = 1_000;
/** passwd, group and similar files of an image that we read into memory. */
export const IMAGE_FILE_MAX_BYTES = 4 * 1024 * 1024;
/** Of an image's users and groups, kept in memory; Debian's are 2,000. */
export const USER_FILES_KEPT_CHARS = 16 * 1024;

/** Disks fill in minutes, not seconds. */
export const CLEAN_UP_INTERVAL_MS = 60_000;
/** That an image is still used is written down this often: each time is a write of the index. */
export const TOUCH_INTERVAL_MS = 3_600_000;

/** A plugin may have to reach storage over the network. */
export const PLUGIN_TIMEOUT_MS = 60_000;
/** A file server that does not tell within this how full it is will keep whoever asks it for more. */
export const VOLUME_ANSWER_TIMEOUT_MS = 10_000;
export const PLUGIN_ANSWER_MAX_BYTES = 1024 * 1024;

/** A program may leave children behind that hold its output open; they are not waited for. */
export const EXEC_OUTPUT_GRACE_MS = 200;
/** The runtime writes the program's pid within milliseconds, on a loaded machine within seconds. */
export const EXEC_PID_WAIT_MS = 10_000;
export const EXEC_PID_LOOK_MS = 10;
/** An archive lies on the node's disk before it is unpacked: what is larger belongs in a volume. */
export const COPY_IN_MAX_BYTES = 8 * 1024 ** 3;
/** Freezing waits for processes to reach a safe point; one in a hung disk access never does. */
export const FREEZE_TIMEOUT_MS = 10_000;

/** Of a container's or image's id where people read it, as Docker shows them. */
export const ID_SHORT_CHARS = 12;
