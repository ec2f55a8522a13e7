/** Control of networks. */
import type { Control } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import { asId, isEncrypted, networkSpec, type Network, type NetworkId } from '@swarmd/model';
import { allocateNetwork, changedNetwork } from '@swarmd/planner';
import type { ReadView, Transaction } from '@swarmd/store';

import { theCluster } from '../replication/the-cluster.ts';
import type { ControlContext } from './context.ts';
import { matches } from './filter.ts';
import { granted } from './granted.ts';
import { withKeys } from './overlay-keys.ts';
import { notFound, parseSpec } from './validate.ts';

type NetworkControl = Pick<
  Control,
  'createNetwork' | 'getNetwork' | 'listNetworks' | 'updateNetwork' | 'removeNetwork'
>;

export function networkControl(context: ControlContext): NetworkControl {
  return {
    createNetwork: (request, call) => {
      const spec = parseSpec('network', networkSpec, request.spec);
      const id = asId('network', context.ids.next());
      return context.writeObject(
        { call, table: 'network', forward: (leader, on) => leader.createNetwork(request, on) },
        (tx) => {
          refuseTakenName(tx, spec.name);
          const chosen = granted(allocateNetwork(tx, spec));
          const network: Network = { id, meta: context.newMeta(), spec, ...chosen };
          tx.put('network', network);
          if (isEncrypted(spec)) {
            tx.put('cluster', withKeys(theCluster(tx), network.meta.createdAt));
          }
          return network;
        },
      );
    },
    getNetwork: async ({ id }, call) => required(await context.read(call), id),
    listNetworks: async ({ filter }, call) =>
      [...(await context.read(call)).list('network')].filter((network) =>
        matches(filter, { id: network.id, ...network.spec }),
      ),
    updateNetwork: (request, call) => {
      const { id, version } = request;
      const spec = parseSpec('network', networkSpec, request.spec);
      return context.onLeader(
        call,
        async (signal) => {
          const write = (tx: Transaction): void => {
            const stored = required(tx, id);
            if (stored.meta.version !== version) throw outOfDate(stored, version);
            tx.put('network', granted(changedNetwork(tx, stored, spec)));
          };
          if (!context.isFinished(call)) await context.finish(call, write, signal);
          return required(context.view, id);
        },
        (leader, on) => leader.updateNetwork(request, on),
      );
    },
    removeNetwork: ({ id }, call) =>
      context.write(
        call,
        (tx) => {
          refuseUsed(tx, required(tx, id));
          tx.delete('network', id);
        },
        (leader, on) => leader.removeNetwork({ id }, on),
      ),
  };
}

function required(view: ReadView, id: NetworkId): Network {
  const network = view.get('network', id);
  if (network === undefined) throw notFound('network', id);
  return network;
}

function outOfDate(stored: Network, version: number): SwarmError {
  return new SwarmError(
    'out-of-date',
    `network ${stored.spec.name} was changed meanwhile: version ${version} was read, ` +
      `${stored.meta.version} is stored; read it again and repeat the change`,
  );
}

function refuseTakenName(view: ReadView, name: string): void {
  const holder = view.networkByName(name);
  if (holder === undefined) return;
  throw new SwarmError(
    'already-exists',
    `a network named "${name}" exists already (${holder.id}); choose another name`,
  );
}

/** Tasks count too: they may outlive a spec that no longer names the network. */
function refuseUsed(view: ReadView, network: Network): void {
  const name = network.spec.name;
  for (const service of view.list('service')) {
    if (!service.spec.task.networks.some(({ target }) => target === network.id)) continue;
    throw new SwarmError(
      'failed-precondition',
      `network ${name} is in use by service ${service.spec.name} (${service.id}); ` +
        `remove the service or detach it from the network first`,
    );
  }
  for (const task of view.list('task')) {
    if (!task.networks.some(({ networkId }) => networkId === network.id)) continue;
    throw new SwarmError(
      'failed-precondition',
      `network ${name} is in use by task ${task.id} of service ${task.serviceName}; ` +
        `try again when the task is gone`,
    );
  }
}
