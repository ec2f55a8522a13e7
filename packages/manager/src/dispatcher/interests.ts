/**
 * Which commits can change what a node is assigned (pure). Saying yes too often costs a computation,
 * saying no wrongly costs correctness: what is not known to be harmless counts.
 */
import type { AssignmentSet, Node, NodeId, Service, Task } from '@swarmd/model';
import type { ChangedObject, Commit, ReadView } from '@swarmd/store';

import { sameValue } from '../same-value.ts';

/** What a node's last assignment depends on. */
export interface Interests {
  readonly nodeId: NodeId;
  readonly networks: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
  readonly configs: ReadonlySet<string>;
}

/** What is asked of the store: are there ports of a service? */
export type ServiceView = Pick<ReadView, 'get'>;

/** By what the tasks name, also what is not there (yet). */
export function interestsOf(nodeId: NodeId, { tasks }: AssignmentSet): Interests {
  return {
    nodeId,
    networks: new Set(tasks.flatMap((task) => task.networks.map((one) => one.networkId))),
    secrets: new Set(tasks.flatMap((task) => task.spec.container.secrets.map((one) => one.id))),
    configs: new Set(tasks.flatMap((task) => task.spec.container.configs.map((one) => one.id))),
  };
}

/** `view` is as of the commit. */
export function concerns(interests: Interests, commit: Commit, view: ServiceView): boolean {
  return commit.changes.some((change) => {
    switch (change.table) {
      case 'task':
        return taskConcerns(interests, change, view);
      case 'service':
        return serviceConcerns(interests, change);
      case 'node':
        return nodeConcerns(interests, change);
      case 'network':
        return interests.networks.has((change.after ?? change.before)?.id ?? '');
      case 'secret':
        return interests.secrets.has((change.after ?? change.before)?.id ?? '');
      case 'config':
        return interests.configs.has((change.after ?? change.before)?.id ?? '');
      case 'cluster':
        return !sameValue(change.before?.spec, change.after?.spec);
      default:
        return true;
    }
  });
}

function taskConcerns(
  interests: Interests,
  { before, after }: ChangedObject<'task'>,
  view: ServiceView,
): boolean {
  if (after?.nodeId === interests.nodeId || before?.nodeId === interests.nodeId) return true;
  if (sameTraffic(before, after)) return false;
  return [before, after].some(
    (task) =>
      task !== undefined &&
      (publishes(view, task) ||
        task.networks.some(({ networkId }) => interests.networks.has(networkId))),
  );
}

/** Every node answers the ports of its service, and sends what comes to the task. */
function publishes(view: ServiceView, task: Task): boolean {
  return (view.get('service', task.serviceId)?.endpoint.ports.length ?? 0) > 0;
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
