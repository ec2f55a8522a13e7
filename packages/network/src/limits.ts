/** Bounds of the network plane, each with its unit in the name and its reason beside it. */

/** How long an attach waits for the state that names its networks: a few sessions' worth of delay. */
export const ATTACH_WAIT_MS = 30_000;

/** Programming a whole node from nothing takes under a second; more means that the kernel is stuck. */
export const APPLY_TIMEOUT_MS = 60_000;

/** One batch of commands; more means that the kernel is stuck. */
export const COMMAND_TIMEOUT_MS = 30_000;

/** Commands that run beside each other: past 16 the processes only wait for each other. */
export const COMMANDS_AT_ONCE = 16;

/** Of what a failing command says: enough to know why, and little enough for one write to a pipe. */
export const ERROR_TEXT_BYTES = 2_000;

/** A shell or worker that had nothing to do for so long is not kept. */
export const HELPER_IDLE_MS = 10_000;

/**
 * Lines of ip and bridge that the worker is given at once. A line is 25 us of processor time here and there,
 * and 8 us in the programs, whose starts take 10 ms; and nobody is to wait long for one job.
 */
export const WORKER_LINES_MAX = 500;

/**
 * Sockets of nft that the worker closes only when nothing was to be done for so long, as by then the
 * kernel's readers are gone, and how many it keeps open at most.
 */
export const NFT_SOCKETS_KEPT_MS = 100;
export const NFT_SOCKETS_KEPT_MAX = 64;

/** Namespaces programmed at the same time: past 16 the processes only wait for each other. */
export const NAMESPACES_AT_ONCE = 16;

/** Namespaces made to forget connections at the same time: it is work for the CPU, and can wait. */
export const FORGETS_AT_ONCE = 2;

/** How often foreign changes to our firewall rules are looked for that nothing told of. */
export const GUARD_PERIOD_MS = 30_000;

/** From the first of several foreign changes until we look: reloads of a firewall are many changes. */
export const RULES_SETTLE_MS = 100;

/** Bytes of the VXLAN, UDP, IPv4 and Ethernet headers around a packet of an overlay. */
export const VXLAN_OVERHEAD_BYTES = 50;
/** With an IPv6 header instead. */
export const VXLAN6_OVERHEAD_BYTES = 70;

/**
 * Bytes that ESP adds in transport mode with AES-GCM: SPI and sequence number 8, IV 8, padding length and
 * next header 2, ICV 16; and packets are padded to a multiple of 4 (RFC 4303, 2.4).
 */
export const ESP_OVERHEAD_BYTES = 34;
export const ESP_ALIGNMENT_BYTES = 4;

/** MTU of the underlay when no interface holds the node's address (yet). */
export const DEFAULT_UNDERLAY_MTU = 1_500;

/** Seconds an answer about the cluster may be kept: replacements are to be seen at once. */
export const DNS_TTL_SECONDS = 1;

/** Answers kept as bytes for the containers of one view, of some 100 bytes each; and the longest kept. */
export const DNS_CACHED_ANSWERS_MAX = 1_024;
export const DNS_CACHED_RECORDS_MAX = 32;

/**
 * How soon a question must follow another for the server to wait awake for the next, and for how long it
 * does: two sleeping processors take 100 to 150 us from one to the next. And after how many such questions,
 * so that a lookup or two, or a client that asks less often, costs nothing; where waiting was mostly in vain, it
 * costs less than a us a question.
 */
export const DNS_LINGER_MS = 0.25;
export const DNS_LINGER_AFTER = 16;
export const DNS_LINGER_AFTER_MAX = 256;

/** Queries waiting for an upstream server; more are answered SERVFAIL at once. */
export const DNS_FORWARDS_MAX = 1_000;

/** How long one upstream server may think before the next one is asked. */
export const DNS_UPSTREAM_TIMEOUT_MS = 2_000;

/** Upstream servers tried for one query, so that a client hears something before it gives up. */
export const DNS_UPSTREAM_TRIES = 3;

/** TCP clients of the DNS server at one time, and how long one may be silent. */
export const DNS_TCP_CONNECTIONS_MAX = 256;
export const DNS_TCP_IDLE_MS = 10_000;

/** Milliseconds after which the host's resolv.conf is read again. */
export const RESOLV_CONF_MAX_AGE_MS = 30_000;

/** UDP answers: without EDNS (RFC 1035, 4.2.1), and the most we send with it (no fragments). */
export const DNS_UDP_BYTES = 512;
export const DNS_EDNS_BYTES = 1_232;

/** Lost nodes that are asked at one time whether they are there; each may take PROBE_SECONDS. */
export const KNOCKS_AT_ONCE = 16;

/** Checks of the doctor at one time: each is a program or two. */
export const CHECKS_AT_ONCE = 8;

/** Probes of one check of a node, and seconds until one has no answer. */
export const PROBES_MAX = 32;
export const PROBE_SECONDS = 2;
