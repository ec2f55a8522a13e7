/**
 * Which commits can change what a node is assigned (pure). Saying yes too often costs a computation,
 * saying no wrongly costs correctness: what is not known to be harmless counts.
 */
import type {
  AssignmentSet,
  ConfigId,
  Network,
  Node,
  NodeId,
  SecretId,
  Service,
  Task,
} from '@swarmd/model';
import type { ChangedObject, Commit } from '@swarmd/store';

import { sameValue } from '../same-value.ts';

/** What a node's last assignment depends on. */
export interface Interests {
  readonly nodeId: NodeId;
  readonly networks: ReadonlySet<string>;
  readonly secrets: ReadonlySet<SecretId>;
  readonly configs: ReadonlySet<ConfigId>;
}

export function interestsOf(nodeId: NodeId, assigned: AssignmentSet): Interests {
  return {
    nodeId,
    networks: new Set(assigned.network?.networks.map((network: Network) => network.id) ?? []),
    secrets: new Set(assigned.secrets.map((secret) => secret.id)),
    configs: new Set(assigned.configs.map((config) => config.id)),
  };
}

export function concerns(interests: Interests, commit: Commit): boolean {
  return commit.changes.some((change) => {
    switch (change.table) {
      case 'task':
        return taskConcerns(interests, change);
      case 'service':
        return serviceConcerns(interests, change);
      case 'node':
        return nodeConcerns(interests, change);
      case 'network':
        return interests.networks.has((change.after ?? change.before)?.id ?? '');
      case 'secret':
        return change.after !== undefined && interests.secrets.has(change.after.id);
      case 'config':
        return change.after !== undefined && interests.configs.has(change.after.id);
      case 'cluster':
        return !sameValue(change.before?.spec, change.after?.spec);
      default:
        return true;
    }
  });
}

function taskConcerns(interests: Interests, { before, after }: ChangedObject<'task'>): boolean {
  if (after?.nodeId === interests.nodeId || before?.nodeId === interests.nodeId) return true;
  if (sameTraffic(before, after)) return false;
  return [before, after].some(
    (task) =>
      task !== undefined &&
      (task.ports.length > 0 ||
        task.networks.some(({ networkId }) => interests.networks.has(networkId))),
  );
}

/** True when the task is reached in the same way before and after, so other nodes see no change. */
function sameTraffic(before: Task | undefined, after: Task | undefined): boolean {
  if (before === undefined || after === undefined) {
    return (before ?? after)?.nodeId === undefined;
  }
  return (
    before.nodeId === after.nodeId &&
    sameValue(before.networks, after.networks) &&
    before.gatewayAddress === after.gatewayAddress &&
    sameValue(before.ports, after.ports) &&
    before.status.state === after.status.state &&
    (before.desiredState === 'running') === (after.desiredState === 'running')
  );
}

/** Published ports concern every node, virtual addresses those on the network. */
function serviceConcerns(
  interests: Interests,
  { before, after }: ChangedObject<'service'>,
): boolean {
  if (sameValue(before?.endpoint, after?.endpoint) && sameValue(before?.spec, after?.spec)) {
    return false;
  }
  return [before, after].some((service) => service !== undefined && reaches(interests, service));
}

function reaches(interests: Interests, service: Service): boolean {
  return (
    service.endpoint.ports.length > 0 ||
    service.endpoint.virtualIps.some(({ networkId }) => interests.networks.has(networkId)) ||
    service.spec.task.networks.some(({ target }) => interests.networks.has(target))
  );
}

function nodeConcerns(interests: Interests, { before, after }: ChangedObject<'node'>): boolean {
  if ((after ?? before)?.id === interests.nodeId) return true;
  return peerKey(before) !== peerKey(after);
}

function peerKey(node: Node | undefined): string {
  if (node === undefined) return '';
  const { index, status, ingressAddress, gatewaySubnet } = node;
  return [index, status.address, status.state, ingressAddress, gatewaySubnet].join(' ');
}
