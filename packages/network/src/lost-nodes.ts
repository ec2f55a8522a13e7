/**
 * Nodes that died. Nobody ends the connections to their containers, so clients would wait for minutes
 * on backends that are no more: once the managers have lost a node and it does not answer us either,
 * its connections are forgotten here, and the next packet of each is answered with a reset. A node
 * that only the managers have lost keeps them.
 */
import { errorMessage, workThrough, type Logger } from '@swarmd/base';
import type { NetworkPeer, NodeId } from '@swarmd/model';

import { AGENT_PORT, knock } from './apply/knock.ts';
import { runSteps } from './apply/kernel.ts';
import { translatedTo } from './apply/translated-to.ts';
import { isInSubnet } from './desired/addresses.ts';
import { meshAddress, meshAddressIn4 } from './desired/family.ts';
import type { StateIndex } from './desired/state-index.ts';
import { connectionsTo } from './desired/task-program.ts';
import { FORGETS_AT_ONCE, KNOCKS_AT_ONCE } from './limits.ts';
import type { LocalTask } from './local-task.ts';
import { forEachTask } from './namespaces.ts';

export interface LostNodesOptions {
  readonly tasks: () => readonly LocalTask[];
  readonly logger: Logger;
}

export class LostNodes {
  readonly #options: LostNodesOptions;
  readonly #stop = new AbortController();
  /** Whose connections were forgotten since they were lost. */
  readonly #dead = new Set<NodeId>();
  #lost: ReadonlyMap<NodeId, NetworkPeer> = new Map();
  #index: StateIndex | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: LostNodesOptions) {
    this.#options = options;
  }

  /** Notes who is lost by the newest state; looks after those who were not before. */
  follow(index: StateIndex): void {
    const [before, lost] = [this.#lost, index.state.peers.filter(isLost)];
    this.#index = index;
    this.#lost = new Map(lost.map((peer) => [peer.nodeId, peer]));
    for (const nodeId of this.#dead) if (!this.#lost.has(nodeId)) this.#dead.delete(nodeId);
    if (lost.some(({ nodeId }) => !before.has(nodeId))) this.look();
  }

  /** Knocks at lost nodes that still answered the last time; to be called from time to time. */
  look(): void {
    if (this.#lost.size === this.#dead.size) return;
    const run = async (): Promise<void> => {
      await this.#looking;
      await this.#look();
    };
    this.#looking = run().catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      const text = 'looking after a lost node failed';
      this.#options.logger.warn({ error: errorMessage(error) }, text);
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#looking;
  }

  async #look(): Promise<void> {
    await workThrough(this.#lost.values(), KNOCKS_AT_ONCE, async (peer) => {
      if (this.#dead.has(peer.nodeId)) return;
      const target = { address: peer.address, port: AGENT_PORT };
      if ((await knock([], target, this.#stop.signal)) !== undefined) await this.#forget(peer);
    });
  }

  async #forget({ nodeId, gatewaySubnet }: NetworkPeer): Promise<void> {
    const index = this.#index;
    if (index === undefined || this.#stop.signal.aborted) return;
    this.#dead.add(nodeId);
    this.#options.logger.info({ node: nodeId }, 'forgetting the connections to a dead node');
    const answering = (await translatedTo()).map((address) => meshAddressIn4(address) ?? '');
    const backends = new Set(answering.filter((one) => isOf(one, gatewaySubnet)));
    const lines = [...backends].flatMap((backend) => [
      `-D --reply-src ${backend}`,
      `-D -f ipv6 --reply-src ${meshAddress('ip6', backend)}`,
    ]);
    if (lines.length > 0) await runSteps([{ kind: 'forget-connections', lines }]);
    await forEachTask(this.#options.tasks(), FORGETS_AT_ONCE, (task) =>
      task.forget(connectionsTo(nodeId, index, task.networks)),
    );
  }
}

function isLost({ down, address }: NetworkPeer): boolean {
  return down && address !== '';
}

function isOf(address: string, subnet: string): boolean {
  return address !== '' && isInSubnet(address, subnet);
}
