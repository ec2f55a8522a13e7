/** What must hold after every plan, whatever happened before. */
import { rank, type Service, type Task } from '@swarmd/model';
import { expect } from 'vitest';

import type { World } from './world.ts';

export function checkInvariants(world: World): void {
  const held = world.tasks().filter((task) => !isOver(task));
  addressesAreUnique(world, held);
  nodesAreNotOvercommitted(world, held);
  for (const service of world.tables.service.values()) {
    const tasks = world.tasks().filter((task) => task.serviceId === service.id);
    oneTaskRunsInASlot(world, service, tasks);
    updateKeepsToParallelism(service, tasks);
  }
}

function isOver(task: Task): boolean {
  const gaveUp = rank(task.desiredState) > rank('running') && task.nodeId === undefined;
  return gaveUp || rank(task.status.state) > rank('running');
}

function addressesAreUnique(world: World, held: readonly Task[]): void {
  const vips = [...world.tables.service.values()].flatMap((service) =>
    service.endpoint.virtualIps.map((vip) => `${vip.networkId} ${vip.address}`),
  );
  const addresses = held.flatMap((task) =>
    task.networks.map((one) => `${one.networkId} ${one.address.split('/')[0]}`),
  );
  const gateways = held.flatMap((task) =>
    task.gatewayAddress === undefined ? [] : [task.gatewayAddress],
  );
  for (const list of [[...vips, ...addresses], gateways]) {
    expect(list.filter((one, at) => list.indexOf(one) !== at)).toEqual([]);
  }
}

function nodesAreNotOvercommitted(world: World, held: readonly Task[]): void {
  for (const node of world.tables.node.values()) {
    const here = held.filter((task) => task.nodeId === node.id);
    const memory = here.reduce((sum, task) => sum + task.spec.reservations.memoryBytes, 0);
    expect(memory).toBeLessThanOrEqual(node.description?.resources.memoryBytes ?? 0);
    const ports = here.flatMap((task) =>
      task.ports.filter((port) => port.publishMode === 'host').map((port) => port.publishedPort),
    );
    expect(new Set(ports).size).toBe(ports.length);
  }
}

/** Told to run and able to: tasks on nodes that are down or gone are replaced while nobody knows. */
function oneTaskRunsInASlot(world: World, service: Service, tasks: readonly Task[]): void {
  const startFirst =
    service.spec.update.order === 'start-first' || service.spec.rollback.order === 'start-first';
  if (startFirst) return;
  const running = tasks
    .filter((task) => task.desiredState === 'running' && !isOver(task))
    .filter((task) => {
      const node = task.nodeId === undefined ? undefined : world.tables.node.get(task.nodeId);
      return task.nodeId === undefined || (node !== undefined && node.status.state !== 'down');
    })
    .map((task) => task.slot);
  expect(running.filter((slot, at) => running.indexOf(slot) !== at)).toEqual([]);
}

/** In flight: a slot that had a running task has a new one that is still on its way. */
function updateKeepsToParallelism(service: Service, tasks: readonly Task[]): void {
  const { parallelism } = service.spec.update;
  if (service.updateStatus?.state !== 'updating' || parallelism === 0) return;
  const slots = new Set(
    tasks
      .filter((task) => task.because[0]?.code === 'update')
      .filter((task) => task.specVersion === service.specVersion)
      .filter((task) => rank(task.desiredState) <= rank('running'))
      .filter((task) => rank(task.status.state) < rank('running'))
      .filter((task) =>
        tasks.some((other) => other.slot === task.slot && other.startedAt !== undefined),
      )
      .map((task) => task.slot),
  );
  expect(slots.size).toBeLessThanOrEqual(parallelism);
}
