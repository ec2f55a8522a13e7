/** Ports of a node that another task has: another number, or the mesh where it is a task of the same service. */
import type { PortConfig } from '@swarmd/model';

import { heldNumbers } from '../allocate/endpoint.ts';
import { isAtWork } from '../task-view.ts';
import { ofService, type Changes, type Cured } from './cure.ts';
import type { NodeState } from './filters.ts';
import { hostPorts, isPortHeld } from './node-usage.ts';

const PORT_MAX = 65_535;

export function curePorts(changes: Changes, { node, usage }: NodeState, cured: Cured): boolean {
  const { view, task, demand } = cured;
  const service = view.get('service', task.serviceId);
  if (service === undefined) return false;
  const held = heldNumbers(view, service);
  const { ports, mode } = service.spec.endpoint;
  const here = usage.of(node.id);
  const isSibling = [...view.tasksByNode(node.id)].some(
    (one) => one.serviceId === task.serviceId && isAtWork(one) && hostPorts(one).length > 0,
  );
  for (const port of demand.hostPorts) {
    if (!isPortHeld(here, port) && !isSibling) continue;
    // What publishes one target twice goes by more than the number of the target.
    if (ports.filter((one) => isSameTarget(one, port)).length !== 1) return false;
    const free = isSibling
      ? port.publishedPort
      : nextFree(port, (number) => {
          const other = { ...port, publishedPort: number };
          return held.has(numberOf(other)) || isPortHeld(here, other);
        });
    if (isSibling && (mode === 'dnsrr' || held.has(numberOf(port)))) return false;
    if (free === undefined) return false;
    held.add(numberOf({ ...port, publishedPort: free }));
    ofService(changes, cured, `--publish-rm ${port.targetPort}/${port.protocol}`);
    ofService(changes, cured, `--publish-add ${longForm(port, free, isSibling)}`);
  }
  return true;
}

function nextFree(
  { publishedPort }: PortConfig,
  isTaken: (number: number) => boolean,
): number | undefined {
  for (let number = publishedPort + 1; number <= PORT_MAX; number += 1) {
    if (!isTaken(number)) return number;
  }
  return undefined;
}

function longForm(
  { targetPort, protocol, address }: PortConfig,
  published: number,
  isMeshed: boolean,
): string {
  return [
    `published=${published}`,
    `target=${targetPort}`,
    ...(protocol === 'tcp' ? [] : [`protocol=${protocol}`]),
    `mode=${isMeshed ? 'ingress' : 'host'}`,
    ...(address === '' ? [] : [`address=${address}`]),
  ].join(',');
}

function numberOf({ publishedPort, protocol }: PortConfig): string {
  return `${publishedPort}/${protocol}`;
}

function isSameTarget(a: PortConfig, b: PortConfig): boolean {
  return a.targetPort === b.targetPort && a.protocol === b.protocol;
}
