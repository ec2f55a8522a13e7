/** What the plane does with states and tasks, without a kernel: every change as the script it runs. */
import { asId, tunnelAddress, type NetworkState } from '@swarmd/model';

import {
  attachmentOf,
  attachSteps,
  isInternal,
  linkRemovalSteps,
  type AttachmentNote,
} from '../../src/desired/attachment.ts';
import { diffObjects } from '../../src/desired/diff-objects.ts';
import { hasEncrypted, type Sealing } from '../../src/desired/encryption.ts';
import { hostPrograms } from '../../src/desired/host-program.ts';
import type { KernelObjects } from '../../src/desired/kernel-object.ts';
import { taskNetns } from '../../src/desired/names.ts';
import { diffProgram, replaceProgram, type NftProgram } from '../../src/desired/nft-program.ts';
import { desiredObjects } from '../../src/desired/objects.ts';
import { indexState, usesIpv6, type StateIndex } from '../../src/desired/state-index.ts';
import type { Step } from '../../src/desired/step.ts';
import { deadBackends, forgetLines, taskPrograms } from '../../src/desired/task-program.ts';
import { stateOf, task, type Cluster } from '../lab/cluster.ts';

export class Planner {
  #cluster: Cluster | undefined;
  #index: StateIndex | undefined;
  #objects: KernelObjects = new Map();
  #host: readonly NftProgram[] = [];
  /** As the plane does: once used, it stays. */
  #ipv6: boolean;
  readonly #tasks = new Map<string, { note: AttachmentNote; programs: NftProgram[] }>();

  /** Whether the host can take part in encrypted networks. */
  readonly #canSeal: boolean;

  constructor(options: { ipv6?: boolean; canSeal?: boolean } = {}) {
    this.#ipv6 = options.ipv6 ?? false;
    this.#canSeal = options.canSeal ?? false;
  }

  apply(cluster: Cluster): Step[] {
    const before = this.#index;
    const index = indexState(asAgentsKeep(stateOf(cluster, 1), before?.state), before);
    this.#cluster = cluster;
    this.#index = index;
    this.#ipv6 ||= usesIpv6(index);
    const objects = desiredObjects({
      state: index.state,
      underlay: { address: tunnelAddress(index.state.self), mtu: 1_500 },
      lingering: [],
      ipv6: this.#ipv6,
      sealing: hasEncrypted(index.state) ? SEALING : undefined,
    });
    const steps = diffObjects(this.#objects, objects);
    this.#objects = objects;
    steps.push(...this.#hostSteps(index));
    for (const local of this.#tasks.values()) {
      const { taskId } = local.note;
      const networks = local.note.networks.map(({ networkId }) => networkId);
      const programs = taskPrograms({ index, taskId, networks, gateway: '100.64.1.1' });
      const netns = taskNetns(taskId);
      for (const [at, program] of programs.entries()) {
        steps.push(...nft(diffProgram(local.programs[at] ?? program, program), netns));
      }
      const dead = before === undefined ? [] : deadBackends(before, index, networks);
      const lines = forgetLines(dead, index);
      if (lines.length > 0) steps.push({ kind: 'forget-connections', netns, lines });
      local.programs = programs;
    }
    return steps;
  }

  attach(id: string): Step[] {
    const placed = this.#cluster?.tasks.find((one) => one.id === id);
    if (placed === undefined || this.#index === undefined) throw new Error(`no task ${id}`);
    const made = { gatewayAddress: '', ...task(placed) };
    const note = attachmentOf(made, this.#index, {
      underlay: { address: tunnelAddress(this.#index.state.self), mtu: 1_500 },
      ipv6: this.#ipv6,
    });
    if (note === undefined) return [];
    const networks = note.networks.map(({ networkId }) => networkId);
    const { taskId } = note;
    const programs = taskPrograms({ index: this.#index, taskId, networks, gateway: '100.64.1.1' });
    this.#tasks.set(id, { note, programs });
    return [
      ...attachSteps(note, this.#index.state.self.gatewaySubnet, programs),
      ...this.#hostSteps(this.#index),
    ];
  }

  detach(id: string): Step[] {
    const local = this.#tasks.get(asId('task', id));
    if (local === undefined || this.#index === undefined) return [];
    this.#tasks.delete(id);
    return [
      { kind: 'delete-netns', name: taskNetns(local.note.taskId) },
      ...linkRemovalSteps(local.note),
      ...this.#hostSteps(this.#index),
    ];
  }

  #hostSteps({ state }: StateIndex): Step[] {
    const { self, peers, nodes, vxlanPort, ports } = state;
    const notes = [...this.#tasks.values()].map(({ note }) => note);
    const internal = notes.filter(isInternal).map(({ gatewayAddress }) => gatewayAddress);
    const controlPorts = [4242, 4243, 4244];
    const ipv6 = this.#ipv6;
    const sealedPort = this.#canSeal ? vxlanPort + 1 : undefined;
    const tunnels = { vxlanPort, sealedPort };
    const input = { self, peers, nodes, ...tunnels, ports, internal, controlPorts, ipv6 };
    const programs = hostPrograms(input);
    const texts = programs.map((program, at) => {
      const known = this.#host[at];
      return known === undefined ? replaceProgram(program) : diffProgram(known, program);
    });
    this.#host = programs;
    return nft(texts.join(''));
  }
}

/** Endpoints that have not changed are the objects that they were. */
export function asAgentsKeep(state: NetworkState, before: NetworkState | undefined): NetworkState {
  const known = new Map(before?.endpoints.map((one) => [JSON.stringify(one), one]));
  const endpoints = state.endpoints.map((one) => known.get(JSON.stringify(one)) ?? one);
  return { ...state, endpoints };
}

function nft(text: string, netns?: string): Step[] {
  if (text === '') return [];
  return [{ kind: 'nft', text, ...(netns === undefined ? {} : { netns }) }];
}

/** Keys that say what they are made from. */
const SEALING: Sealing = {
  incarnation: 'boot 1',
  derive: (secret, purpose) => `KEY(${secret[0]}, ${purpose.split('\n').slice(1).join(', ')})`,
};
