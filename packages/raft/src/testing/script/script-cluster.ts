/** A script's world: its nodes and the messages on their way, moved only by commands. */
import { SwarmError, assert } from '@swarmd/base';
import type { Entry, Message, RaftId, Ready, StepOutcome } from '../../core/types.ts';
import {
  APPEND_THREAD,
  APPLY_THREAD,
  describeEntry,
  describeHardState,
  describeMessage,
  describeRole,
  describeSnapshot,
  describeTrace,
  typeOf,
  type EnvMessage,
  type TraceMessage,
} from './describe.ts';
import { Output } from './output.ts';
import type { AppendWork, ScriptNode, ScriptReady } from './script-node.ts';

export interface Delivery {
  readonly to: RaftId;
  readonly drop: boolean;
}

const PROPOSAL_DROPPED = 'raft proposal dropped';
const UNKNOWN_PEER = 'raft: cannot step as peer not found';

export class ScriptCluster {
  readonly nodes: ScriptNode[] = [];
  readonly output = new Output();
  #messages: EnvMessage[] = [];

  /** @throws SwarmError `invalid-argument` if there is no such node. */
  node(id: RaftId): ScriptNode {
    const node = this.nodes[id - 1];
    if (!node) throw new SwarmError('invalid-argument', `there is no node ${id}`);
    return node;
  }

  post(message: EnvMessage): void {
    this.#messages.push(message);
  }

  /** Prints and handles what the node wants done. */
  processReady(node: ScriptNode): void {
    const taken = node.takeReady();
    if (!taken) {
      this.output.print('<empty Ready>');
      return;
    }
    if (node.async) this.#processAsync(node, taken);
    else this.#processSync(node, taken);
  }

  #processSync(node: ScriptNode, taken: ScriptReady): void {
    const { ready } = taken;
    const messages = [...ready.messages, ...ready.messagesAfterPersist];
    this.#printReady(taken, messages.map(describeMessage));
    node.write({ entries: ready.append, ...(ready.snapshot && { snapshot: ready.snapshot }) });
    node.apply(ready.committed);
    for (const message of messages) this.post(message);
    node.core.step({ kind: 'persisted', seq: ready.seq });
    const last = ready.committed.at(-1);
    if (last) node.core.step({ kind: 'applied', index: last.index });
  }

  #processAsync(node: ScriptNode, taken: ScriptReady): void {
    const { hard, append, snapshot, messages, committed, afterPersist = [] } = taken.ready;
    const traces = messages.map(describeMessage);
    const answers = afterPersist.some((own) => own.kind !== 'stored');
    if (hard || append.length > 0 || snapshot || answers) {
      const work: AppendWork = {
        ...(hard && { hard }),
        entries: append,
        ...(snapshot && { snapshot }),
        responses: afterPersist,
      };
      node.appendWork.push(work);
      traces.push(describeTrace({ ...appendTrace(node, work), responses: work.responses }));
    }
    if (committed.length > 0) {
      node.applyWork.push(committed);
      const responses = [appliedNotice(node, committed)];
      traces.push(describeTrace({ ...applyTrace(node, committed), responses }));
    }
    this.#printReady(taken, traces);
    for (const message of messages) this.post(message);
  }

  #printReady({ ready, mustSync }: ScriptReady, messages: readonly string[]): void {
    const lines: string[] = [];
    const { soft, hard, append, snapshot, committed, reads } = ready;
    if (soft) lines.push(`Lead:${soft.leader} State:${describeRole(soft.role)}`);
    if (hard) lines.push(`HardState ${describeHardState(hard)}`);
    if (reads.length > 0) lines.push(`ReadStates ${describeReads(reads)}`);
    if (append.length > 0) lines.push('Entries:', ...append.map(describeEntry));
    if (snapshot) lines.push(`Snapshot ${describeSnapshot(snapshot)}`);
    if (committed.length > 0) lines.push('CommittedEntries:', ...committed.map(describeEntry));
    if (messages.length > 0) lines.push('Messages:', ...messages);
    if (lines.length === 0) this.output.print('<empty Ready>');
    else this.output.print([`Ready MustSync=${mustSync}:`, ...lines].join('\n'));
  }

  /** The oldest write completes: its answers are on their way then. */
  processAppend(node: ScriptNode): void {
    const work = node.appendWork.shift();
    if (!work) {
      this.output.print('no append work to perform');
      return;
    }
    this.#printWork(appendTrace(node, work), work.responses);
    node.write(work);
    for (const response of work.responses) this.post(response);
  }

  processApply(node: ScriptNode): void {
    const entries = node.applyWork.shift();
    if (!entries) {
      this.output.print('no apply work to perform');
      return;
    }
    const notice = appliedNotice(node, entries);
    node.apply(entries);
    this.#printWork(applyTrace(node, entries), [notice]);
    this.post(notice);
  }

  #printWork(work: TraceMessage, responses: readonly EnvMessage[]): void {
    this.output.print('Processing:');
    this.output.print(describeTrace(work));
    this.output.print('Responses:');
    for (const response of responses) this.output.print(describeMessage(response));
  }

  /** Delivers or drops what waits for the given nodes now. Returns how many messages that were. */
  deliver(deliveries: readonly Delivery[], type?: string): number {
    let count = 0;
    for (const delivery of deliveries) {
      const taken = this.#messages.filter((message) => isFor(message, delivery, type));
      this.#messages = this.#messages.filter((message) => !taken.includes(message));
      count += taken.length;
      for (const message of taken) {
        this.output.print(`${delivery.drop ? 'dropped: ' : ''}${describeMessage(message)}`);
        if (!delivery.drop) this.#step(message);
      }
    }
    return count;
  }

  #step(message: EnvMessage): void {
    const { core } = this.node(message.to);
    if (message.kind === 'stored') {
      core.step({ kind: 'stored', notice: message });
      return;
    }
    if (message.kind === 'applied') {
      core.step({ kind: 'applied', index: message.entries.at(-1)?.index ?? 0 });
      return;
    }
    const outcome = core.step({ kind: 'message', message });
    if (outcome === 'unknownPeer') this.output.print(UNKNOWN_PEER);
    else if (message.kind === 'propose') this.#printDropped(outcome);
  }

  #printDropped(outcome: StepOutcome): void {
    if (isDropped(outcome)) this.output.print(PROPOSAL_DROPPED);
  }

  /** Handles everything until nothing is left to do; in each round every stage in order of ids. */
  stabilize(nodes: readonly ScriptNode[]): void {
    for (let busy = true; busy;) {
      busy = false;
      const stage = (
        title: string,
        has: (node: ScriptNode) => boolean,
        act: (node: ScriptNode) => void,
      ): void => {
        for (const node of nodes) {
          if (!has(node)) continue;
          busy = true;
          this.output.nested(`> ${node.config.id} ${title}`, () => act(node));
        }
      };
      this.#stages(stage);
    }
  }

  #stages(
    stage: (
      title: string,
      has: (node: ScriptNode) => boolean,
      act: (node: ScriptNode) => void,
    ) => void,
  ): void {
    const delivery = (node: ScriptNode): Delivery => ({ to: node.config.id, drop: false });
    stage(
      'handling Ready',
      (node) => node.hasReady(),
      (node) => this.processReady(node),
    );
    stage(
      'receiving messages',
      (node) => this.#messages.some((message) => isFor(message, delivery(node))),
      (node) => this.deliver([delivery(node)]),
    );
    stage(
      'processing append thread',
      (node) => node.appendWork.length > 0,
      (node) => {
        while (node.appendWork.length > 0) this.processAppend(node);
      },
    );
    stage(
      'processing apply thread',
      (node) => node.applyWork.length > 0,
      (node) => {
        while (node.applyWork.length > 0) this.processApply(node);
      },
    );
  }

  /** Sends the node's newest snapshot although nobody asked for it. */
  sendSnapshot(from: ScriptNode, to: RaftId): void {
    const snapshot = from.snapshot();
    assert(snapshot, `node ${from.config.id} has a snapshot`);
    const { term } = from.core.status();
    const message: Message = { kind: 'snapshot', from: from.config.id, to, term, snapshot };
    this.post(message);
    this.output.print(describeMessage(message));
  }
}

/** The error of a refused proposal, as etcd's `Step` returns it. */
export function proposalError(outcome: StepOutcome): string | undefined {
  return isDropped(outcome) ? PROPOSAL_DROPPED : undefined;
}

/** A refused membership change still enters the log, as an empty entry. */
function isDropped(outcome: StepOutcome): boolean {
  return outcome !== 'accepted' && outcome !== 'confChangeRefused';
}

function isFor(message: EnvMessage, delivery: Delivery, type?: string): boolean {
  if (message.to !== delivery.to) return false;
  // What a node's own threads tell it cannot get lost.
  const local = message.kind === 'stored' || message.kind === 'applied';
  if (delivery.drop && (local || message.from === message.to)) return false;
  return type === undefined || typeOf(message) === type;
}

function describeReads(reads: Ready['reads']): string {
  return `[${reads.map(({ id, index }) => `{${index} ${id}}`).join(' ')}]`;
}

function appliedNotice(node: ScriptNode, entries: readonly Entry[]): EnvMessage {
  return { kind: 'applied', to: node.config.id, entries };
}

function appendTrace(node: ScriptNode, work: AppendWork): TraceMessage {
  const { hard, entries, snapshot } = work;
  return {
    type: 'MsgStorageAppend',
    from: node.config.id,
    to: APPEND_THREAD,
    term: hard?.term ?? 0,
    ...(hard && { commit: hard.commit, vote: hard.vote }),
    entries: entries.map(describeEntry),
    ...(snapshot && { snapshot }),
  };
}

function applyTrace(node: ScriptNode, entries: readonly Entry[]): TraceMessage {
  return {
    type: 'MsgStorageApply',
    from: node.config.id,
    to: APPLY_THREAD,
    term: 0,
    entries: entries.map(describeEntry),
  };
}
