/** Arbitrary assignments of a node; lists are without duplicates, as managers make them. */
import type {
  AssignmentSet,
  ConfigId,
  NetworkId,
  NetworkState,
  NodeId,
  SecretId,
  ServiceId,
  TaskId,
} from '@swarmd/model';
import * as fc from 'fast-check';

import { id, networks, partly, tasks } from './objects.ts';
import { bytes, text, texts, uint, uint32 } from './specs.ts';

function unique<T>(item: fc.Arbitrary<T>, key: (value: T) => string): fc.Arbitrary<T[]> {
  return fc.uniqueArray(item, { selector: key, maxLength: 5 });
}

const peers = fc.record({
  nodeId: id<NodeId>(),
  index: uint32,
  address: text,
  ingressAddress: text,
  gatewaySubnet: text,
  down: fc.boolean(),
  addresses6: texts,
  dataPathAddress: text,
});

const statesInClear: fc.Arbitrary<NetworkState> = fc.record({
  self: peers,
  vxlanPort: fc.constantFrom(4_789, 4_790),
  peers: unique(peers, (peer) => peer.nodeId),
  nodes: unique(text, (address) => address),
  networks: unique(networks, (network) => network.id),
  endpoints: unique(
    fc.record({
      taskId: id<TaskId>(),
      networkId: id<NetworkId>(),
      nodeId: id<NodeId>(),
      address: text,
      serviceId: id<ServiceId>(),
      serviceName: text,
      slot: uint32,
      aliases: texts,
      serving: fc.boolean(),
    }),
    (endpoint) => `${endpoint.taskId}/${endpoint.networkId}`,
  ),
  vips: unique(
    fc.record({
      serviceId: id<ServiceId>(),
      serviceName: text,
      networkId: id<NetworkId>(),
      address: text,
      aliases: texts,
      affinity: fc.constantFrom('none', 'client-ip'),
      affinityTimeoutMs: uint,
    }),
    (vip) => `${vip.serviceId}/${vip.networkId}`,
  ),
  ports: unique(
    fc.record({
      serviceId: id<ServiceId>(),
      protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
      publishedPort: uint32,
      targetPort: uint32,
      publishMode: fc.constantFrom('ingress', 'host'),
      address: text,
      source: fc.constantFrom('preserve', 'snat'),
      localOnly: fc.boolean(),
      affinity: fc.constantFrom('none', 'client-ip'),
      affinityTimeoutMs: uint,
      backends: texts,
      backends6: texts,
    }),
    ({ serviceId, protocol, publishedPort, targetPort, publishMode, address }) =>
      [serviceId, protocol, publishedPort, targetPort, publishMode, address].join('/'),
  ),
});

export const networkStates: fc.Arbitrary<NetworkState> = fc
  .tuple(statesInClear, fc.boolean())
  .map(([state, encryptsMesh]) => (encryptsMesh ? { ...state, encryptsMesh } : state));

function contents<T extends string>(ids: fc.Arbitrary<T>) {
  return unique(
    fc.record({ id: ids, version: uint, data: bytes, templated: fc.boolean() }),
    (content) => content.id,
  );
}

export const assignmentSets: fc.Arbitrary<AssignmentSet> = partly<AssignmentSet>(
  {
    tasks: unique(tasks, (task) => task.id),
    secrets: contents(id<SecretId>()),
    configs: contents(id<ConfigId>()),
    network: networkStates,
  },
  ['network'],
);
