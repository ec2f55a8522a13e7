/** Puts a task on a node: its addresses on its networks and in the node's gateway subnet, what it claims. */
import {
  asId,
  type Network,
  type Node,
  type NodeDescription,
  type Task,
  type TaskNetwork,
} from '@swarmd/model';

import { givesAddresses } from '../allocate/driver.ts';
import { subnetOf, subnetsOf } from '../allocate/subnet.ts';
import type { Draft } from '../draft.ts';
import { claimGeneric } from './generic.ts';
import { withPrefix, type Usage } from './usage.ts';

export type Found =
  | { readonly kind: 'found'; readonly networks: readonly Network[] }
  | { readonly kind: 'missing'; readonly message: string };

export function networksOf(draft: Draft, task: Task): Found {
  const networks: Network[] = [];
  for (const { target } of task.spec.networks) {
    const network = draft.view.get('network', asId('network', target));
    if (network === undefined) {
      return { kind: 'missing', message: `network ${target} does not exist` };
    }
    networks.push(network);
  }
  return { kind: 'found', networks };
}

type Addresses =
  | { readonly kind: 'taken'; readonly networks: readonly TaskNetwork[] }
  | { readonly kind: 'none'; readonly error: string };

const NO_NETWORKS: readonly TaskNetwork[] = [];

function takeAddresses(task: Task, networks: readonly Network[], usage: Usage): Addresses {
  if (networks.length === 0) return { kind: 'taken', networks: NO_NETWORKS };
  const taken: { network: Network; address: string }[] = [];
  for (const network of networks) {
    if (!givesAddresses(network)) {
      taken.push({ network, address: '' });
      continue;
    }
    const address = usage.network(network).take();
    if (address === undefined) {
      for (const one of taken) {
        if (one.address !== '') usage.network(one.network).giveBack(one.address);
      }
      return { kind: 'none', error: noAddress(network) };
    }
    taken.push({ network, address });
  }
  return {
    kind: 'taken',
    networks: taken.map(({ network, address }, index) => ({
      networkId: network.id,
      address: address === '' ? '' : withPrefix(address, subnetOf(network, address)),
      aliases: task.spec.networks[index]?.aliases ?? [],
    })),
  };
}

export function noAddress(network: Network): string {
  return `no free address on network ${network.spec.name} (${subnetsOf(network).join(', ')})`;
}

/** Those that have no address for one more task. */
export function fullNetworks(networks: readonly Network[], usage: Usage): Network[] {
  return networks.filter((one) => givesAddresses(one) && !usage.network(one).hasFree());
}

/** Whether there is an address for one more task on each of the networks. */
export function haveAddresses(networks: readonly Network[], usage: Usage): boolean {
  return fullNetworks(networks, usage).length === 0;
}

/** What came of it: placed and counted in the usage, or why not. */
export type Outcome =
  { readonly kind: 'placed' } | { readonly kind: 'none'; readonly error: string };

/** All or nothing: a task that gets no address holds nothing. */
export function putOn(
  draft: Draft,
  task: Task,
  target: { node: Node; networks: readonly Network[]; usage: Usage },
): Outcome {
  const { node, networks, usage } = target;
  const addresses = takeAddresses(task, networks, usage);
  if (addresses.kind === 'none') return addresses;
  usage.hold(settle(draft, task, { node, networks: addresses.networks, usage }));
  return { kind: 'placed' };
}

function settle(
  draft: Draft,
  task: Task,
  target: { node: Node; networks: readonly TaskNetwork[]; usage: Usage },
): Task {
  const { node, networks, usage } = target;
  const gatewayAddress = usage.gateway(node).take();
  const words = wordsOf(node);
  const { generic } = task.spec.reservations;
  return draft.change(
    task.nominated === undefined ? task : withoutNomination(task),
    {
      nodeId: node.id,
      networks,
      // The filter lets no node pass that has none left.
      ...(gatewayAddress === undefined ? {} : { gatewayAddress }),
      ...(generic.length === 0
        ? {}
        : { claimed: { generic: claimGeneric(node, usage.of(node.id), generic) } }),
      status: {
        ...task.status,
        state: 'assigned',
        timestamp: draft.now,
        message: words.assigned,
        error: '',
      },
    },
    draft.reason('placed', words.placed),
  );
}

interface Words {
  readonly assigned: string;
  readonly placed: string;
}

/** Every task keeps them, and many are on the same node. */
const wordsBefore = new WeakMap<NodeDescription, Words>();

function wordsOf({ id, description }: Node): Words {
  const known = description && wordsBefore.get(description);
  if (known !== undefined) return known;
  const hostname = description?.hostname ?? id;
  const words = { assigned: `assigned to ${hostname}`, placed: `placed on ${hostname}` };
  if (description !== undefined) wordsBefore.set(description, words);
  return words;
}

function withoutNomination(task: Task): Task {
  const { nominated: _moot, ...rest } = task;
  return rest;
}
