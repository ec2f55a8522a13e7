/**
 * The leader's knowledge of who is alive: takes the managers' reports of sessions, writes READY,
 * addresses and descriptions when they change, and DOWN when nobody reported a node for
 * `cluster.spec.nodeDownAfterMs`.
 */
import type { LiveNode } from '@swarmd/api';
import { errorMessage, type Clock, type Logger, type Scope, type Timer } from '@swarmd/base';
import type { ClusterSpec, Node, NodeId } from '@swarmd/model';
import type { Raft, RaftTiming } from '@swarmd/raft';
import type { Store, Transaction } from '@swarmd/store';

import { theCluster } from '../replication/the-cluster.ts';
import {
  AGENT_RECONNECT_MS,
  GRACE_FACTOR,
  LEADERLESS_SESSION_MS,
  SILENT_MANAGER_HEARTBEATS,
  UNJOINED_MAX_MS,
} from '../limits.ts';
import { sameValue } from '../same-value.ts';
import { heldBack, released, replacementTimes } from './flaps.ts';
import { awayNode, downNode, Leases } from './liveness.ts';
import { beyondElections } from './patience.ts';

/** Leases are looked at so many times a heartbeat period. */
const CHECKS_PER_HEARTBEAT = 4;
/** A check that comes later than this many periods means that this process stood still. */
const STALL_PERIODS = 0.5;

export class NodeLiveness implements Disposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #scope: Scope;
  readonly #raft: Raft;
  readonly #leases = new Leases();
  /** When each manager was heard of last; monotonic. */
  readonly #reportedAt = new Map<NodeId, number>();
  /** What is being written of nodes. */
  readonly #writing = new Map<NodeId, LiveNode>();
  readonly #reconnectMs: number;
  #timer: Timer | undefined;
  #checkedAt: number;
  /** Of the nodes as they were when they were looked at last. */
  #checkedWrites: number | undefined;
  /** When the first of the held nodes is to be released; of milliseconds since the epoch. */
  #heldUntil = Number.POSITIVE_INFINITY;
  #isForgetting = false;
  #isReleasing = false;

  constructor(options: {
    store: Store;
    raft: Raft;
    clock: Clock;
    logger: Logger;
    scope: Scope;
    leaderlessMs: number;
    raftTiming?: RaftTiming | undefined;
  }) {
    // Managers without a leader end their sessions: their agents need time to come back.
    const patienceMs = beyondElections(LEADERLESS_SESSION_MS, options.raftTiming);
    this.#reconnectMs = options.leaderlessMs < patienceMs ? 0 : AGENT_RECONNECT_MS;
    this.#store = options.store;
    this.#raft = options.raft;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#scope = options.scope;
    this.#checkedAt = this.#clock.monotonic();
    this.#check();
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
  }

  /**
   * `reporter`: the manager that hears them. Extends the leases at once; resolves when the descriptions
   * are committed. What else is new is seen to, and not waited for: whoever reports that nodes are alive
   * must be free to do so again.
   */
  async report(live: readonly LiveNode[], reporter: NodeId, signal: AbortSignal): Promise<void> {
    const { view } = this.#store;
    const terms = theCluster(view).spec;
    const now = this.#clock.monotonic();
    const until = now + terms.nodeDownAfterMs;
    this.#reportedAt.set(reporter, now);
    const described: LiveNode[] = [];
    const heard: LiveNode[] = [];
    for (const session of live) {
      const node = view.get('node', session.nodeId);
      if (node === undefined) continue;
      const isAway = node.status.awayUntil !== undefined;
      if (isAway && isBack(session)) this.#leases.reset(session.nodeId, until, reporter);
      else this.#leases.extend(session.nodeId, until, reporter);
      if (refreshed(node, session, { now: 0, terms }) === node) continue;
      if (isBack(session)) described.push(session);
      // Its description is under way.
      else if (node.description !== undefined && !this.#writing.has(node.id)) heard.push(session);
    }
    if (heard.length > 0) this.#writeHeard(heard);
    if (described.length > 0) await this.#write(described, signal);
  }

  /** Their sessions went on while they were taken for dead. */
  #writeHeard(heard: readonly LiveNode[]): void {
    this.#scope.spawn('nodes-heard', async (signal) => {
      try {
        await this.#write(heard, signal);
      } catch (error) {
        // The next report finds them as they are now.
        this.#logger.warn({ error: errorMessage(error) }, 'nodes could not be marked ready');
      }
    });
  }

  async #write(news: readonly LiveNode[], signal: AbortSignal): Promise<void> {
    for (const session of news) this.#writing.set(session.nodeId, session);
    try {
      await this.#store.update((tx) => writeNews(tx, news, this.#clock.now()), signal);
    } finally {
      for (const session of news) {
        if (this.#writing.get(session.nodeId) === session) this.#writing.delete(session.nodeId);
      }
    }
  }

  /** They restart on purpose. Resolves when that is committed. */
  async goodbye(ids: readonly NodeId[], signal: AbortSignal): Promise<void> {
    const { nodeRestartGraceMs } = theCluster(this.#store.view).spec;
    await this.#store.update((tx) => {
      for (const id of ids) {
        const node = tx.get('node', id);
        if (node?.status.state !== 'ready') continue;
        tx.put('node', awayNode(node, { now: this.#clock.now(), graceMs: nodeRestartGraceMs }));
      }
    }, signal);
    const until = this.#clock.monotonic() + nodeRestartGraceMs;
    for (const id of ids) this.#leases.extend(id, until);
  }

  #check(): void {
    const { heartbeatPeriodMs, nodeDownAfterMs } = theCluster(this.#store.view).spec;
    const periodMs = heartbeatPeriodMs / CHECKS_PER_HEARTBEAT;
    const now = this.#clock.monotonic();
    const lateMs = now - this.#checkedAt - periodMs;
    this.#checkedAt = now;
    if (lateMs > periodMs * STALL_PERIODS) this.#leases.extendAll(lateMs);
    const nodeWrites = this.#store.view.writesOf('node');
    const isNews = nodeWrites !== this.#checkedWrites || this.#clock.now() >= this.#heldUntil;
    if (isNews || this.#leases.mayExpire(now)) {
      this.#checkedWrites = nodeWrites;
      this.#look(now, nodeDownAfterMs);
    }
    this.#timer = this.#clock.after(periodMs, () => this.#check());
  }

  /** At all nodes, which in a large cluster is worth sparing. */
  #look(now: number, nodeDownAfterMs: number): void {
    const down = this.#leases.expired(this.#store.view.list('node'), {
      nowMs: now,
      now: this.#clock.now(),
      graceMs: nodeDownAfterMs * GRACE_FACTOR,
      firstGraceMs: nodeDownAfterMs * GRACE_FACTOR + this.#reconnectMs,
      isLost: (manager) => this.#isLost(manager),
    });
    if (down.length > 0) this.#writeDown(down, nodeDownAfterMs);
    this.#forgetUnjoined();
    this.#release();
  }

  /** Nodes that got a certificate and never came: what was to join has died, or joined anew. */
  #forgetUnjoined(): void {
    const ids = [...this.#store.view.list('node')]
      .filter((node) => isUnjoined(node, this.#clock.now()))
      .map((node) => node.id);
    if (ids.length === 0 || this.#isForgetting) return;
    this.#isForgetting = true;
    this.#scope.spawn('unjoined', async (signal) => {
      try {
        await this.#store.update((tx) => {
          for (const id of ids) {
            const node = tx.get('node', id);
            if (node !== undefined && isUnjoined(node, this.#clock.now())) tx.delete('node', id);
          }
        }, signal);
        const why = `no session within ${UNJOINED_MAX_MS} ms after its certificate was issued`;
        this.#logger.warn({ nodes: ids, why }, 'nodes that never came are removed');
      } catch (error) {
        this.#logger.warn({ error: errorMessage(error) }, 'nodes that never came stay for now');
      } finally {
        this.#isForgetting = false;
      }
    });
  }

  /**
   * A manager that left Raft, that has not answered this leader lately, or that stands still: it has
   * reported nothing, while one that is well reports all the time.
   */
  #isLost(manager: NodeId): boolean {
    const { heartbeatPeriodMs } = theCluster(this.#store.view).spec;
    const silentMs = this.#clock.monotonic() - (this.#reportedAt.get(manager) ?? 0);
    if (silentMs > heartbeatPeriodMs * SILENT_MANAGER_HEARTBEATS) return true;
    const { raftId, members, progress } = this.#raft.status();
    const member = members.find((one) => one.nodeId === manager);
    if (member === undefined) return true;
    if (member.raftId === raftId) return false;
    return progress.some((one) => one.raftId === member.raftId && !one.recentlyActive);
  }

  #writeDown(down: readonly Node[], silentMs: number): void {
    const ids = down.map((node) => node.id);
    this.#logger.warn({ nodes: ids }, 'nodes are down: no manager hears of them');
    this.#scope.spawn('nodes-down', async (signal) => {
      try {
        await this.#store.update((tx) => {
          this.#markDown(tx, ids, silentMs);
        }, signal);
      } catch (error) {
        // They are still READY with an old lease: the next check finds them again.
        this.#logger.warn({ error: errorMessage(error) }, 'nodes could not be marked down');
      }
    });
  }

  #markDown(tx: Transaction, ids: readonly NodeId[], silentMs: number): void {
    const lost = ids.flatMap((id) => {
      const node = tx.get('node', id);
      // It may have been heard of while the transaction waited.
      const isLive = this.#leases.isLive(id, this.#clock.monotonic());
      return node?.status.state === 'ready' && !isLive ? [node] : [];
    });
    const now = this.#clock.now();
    const terms = theCluster(tx).spec;
    const times = replacementTimes(tx.list('node'), lost, { now, terms });
    for (const node of lost) {
      const down = downNode(node, { now, silentMs, terms });
      const later = times.get(node.id);
      if (later === undefined) tx.put('node', down);
      else {
        const { replaceFrom, message } = later;
        const status = {
          ...down.status,
          replaceFrom,
          message: `${down.status.message}; ${message}`,
        };
        tx.put('node', { ...down, status });
      }
    }
  }

  /** Nodes that were held back as they come and go, and have stayed. */
  #release(): void {
    const now = this.#clock.now();
    const isDue = (node: Node | undefined): node is Node =>
      (node?.status.heldUntil ?? now + 1) <= now;
    const held = [...this.#store.view.list('node')].filter(
      ({ status }) => status.heldUntil !== undefined,
    );
    this.#heldUntil = Math.min(...held.map(({ status }) => status.heldUntil ?? now));
    const ids = held.filter(isDue).map((node) => node.id);
    if (ids.length === 0 || this.#isReleasing) return;
    this.#isReleasing = true;
    this.#scope.spawn('held nodes', async (signal) => {
      try {
        await this.#store.update((tx) => {
          for (const id of ids) {
            const node = tx.get('node', id);
            if (isDue(node)) tx.put('node', released(node));
          }
        }, signal);
      } catch (error) {
        this.#logger.warn({ error: errorMessage(error) }, 'held nodes stay so for now');
      } finally {
        this.#isReleasing = false;
      }
    });
  }
}

function writeNews(tx: Transaction, news: readonly LiveNode[], now: number): void {
  for (const session of news) {
    const node = tx.get('node', session.nodeId);
    if (node === undefined) continue;
    const next = refreshed(node, session, { now, terms: theCluster(tx).spec });
    if (next !== node) tx.put('node', next);
  }
}

/**
 * Still as it was made with its certificate, long after. A manager that is in Raft has joined, whatever keeps its
 * agent: without its node it would be taken out of Raft.
 */
function isUnjoined({ status, description, manager }: Node, now: number): boolean {
  const isNew = status.state === 'unknown' && description === undefined && manager === undefined;
  return isNew && now - status.since > UNJOINED_MAX_MS;
}

/** The first report of a session, which describes the node. */
function isBack(session: LiveNode): boolean {
  return session.description !== undefined;
}

/** The node as its session shows it: the same object when nothing is new. */
function refreshed(
  node: Node,
  session: LiveNode,
  { now, terms }: { now: number; terms: ClusterSpec },
): Node {
  const { status } = node;
  const description = session.description ?? node.description;
  // A report that was under way when it said goodbye does not bring it back.
  if (status.awayUntil !== undefined && !isBack(session)) return node;
  const known =
    status.state === 'ready' &&
    status.awayUntil === undefined &&
    status.address === session.address &&
    status.agentAddress === session.agentAddress &&
    sameValue(description, node.description);
  if (known) return node;
  return {
    ...node,
    ...(description === undefined ? {} : { description }),
    status: {
      state: 'ready',
      ...(status.state === 'ready' ? receptionOf(status) : heldBack(status, now, terms)),
      address: session.address,
      agentAddress: session.agentAddress,
      since: status.state === 'ready' ? status.since : now,
    },
  };
}

/** What was decided on its return stays, whatever else is new of it. */
function receptionOf({
  awayUntil,
  flaps,
  heldUntil,
  message,
}: Node['status']): Pick<Node['status'], 'flaps' | 'heldUntil' | 'message'> {
  return {
    message: heldUntil === undefined ? '' : awayUntil === undefined ? message : 'it comes and goes',
    ...(flaps === undefined ? {} : { flaps }),
    ...(heldUntil === undefined ? {} : { heldUntil }),
  };
}
