/** Bounds of the API, with their reasons. */

/** A unary call that names no time of its own. Longer than an election, shorter than patience. */
export const UNARY_TIMEOUT_MS = 10_000;

/** TCP and TLS within a cluster take milliseconds; a host that is gone must not cost a whole call. */
export const CONNECT_TIMEOUT_MS = 3_000;

/** One message, in or out: the whole assignment of a node with dozens of 1 MB configs fits. */
export const MESSAGE_MAX_BYTES = 64 * 1024 * 1024;

/** One message from a caller without a certificate: a signing request and a token are 1 KiB. */
export const GUEST_MESSAGE_MAX_BYTES = 16 * 1024;

/** Status texts travel in HTTP/2 trailers, which peers accept up to 8 KiB in sum, percent-encoded. */
export const STATUS_MESSAGE_MAX_CHARS = 1_500;

/** Streams are told to end at shutdown, and are cut when they have not after this time. */
export const SHUTDOWN_GRACE_MS = 1_000;
/** So long may calls that are no streams still answer; they are told to end before they are cut. */
export const UNARY_GRACE_MS = 700;

/** Connections without a certificate, for joiners: enough for a rollout, useless for an attack. */
export const JOINER_CONNECTIONS_MAX = 64;

/** A joiner asks one question. */
export const JOINER_CONNECTION_MS = 30_000;

/** TLS handshakes that take longer are not meant seriously. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * What a server may send ahead of its client, for one connection and each of its streams. HTTP/2's own 64 KiB is a
 * quarter of a chunk of logs: four times for each chunk its sender would wait for word that there is room.
 */
export const FLOW_CONTROL_WINDOW_BYTES = 1024 * 1024;
/** A dead peer is noticed after at most the sum of the two, also without traffic. */
export const KEEPALIVE_TIME_MS = 5_000;
export const KEEPALIVE_TIMEOUT_MS = 3_000;

/** Reconnecting: at once, then slower, never slower than this. */
export const RECONNECT_MIN_MS = 100;
export const RECONNECT_MAX_MS = 2_000;

/** Ids of requests are kept for minutes, thousands of them. */
export const REQUEST_ID_MAX_CHARS = 64;
