/** What the tests of encrypted networks share: networks, services that are everywhere, and waiting for keys. */
import type { Host } from '@swarmd/lab';
import type { Network, Node, Task } from '@swarmd/model';
import { expect } from 'vitest';

import {
  BUSYBOX,
  ctl,
  hostOf,
  inTask,
  lab,
  LONG,
  NGINX,
  ok,
  OWN_KERNEL,
  remove,
  running,
  until,
} from './support.ts';
import type { Seen } from './wire.ts';

export const ENCRYPTED_TIMEOUT_MS = 900_000;
const DETACHED = ['--detach', '--stop-grace-period', '0s'];

export const nodes = async (): Promise<Node[]> =>
  JSON.parse(await ok('node', 'ls', '--format', 'json')) as Node[];

/** `npm run lab:kernel` brings the kernel; where the machine's can, the long form does as well. */
export const canEncrypt =
  (OWN_KERNEL || LONG) &&
  (await nodes()).every(({ description }) => description?.encryption?.lacks === '');

/** "web" is on an encrypted network, "peer" also on one in clear; both have a task on every node. */
export async function createEverywhere(): Promise<{ safe: Network; open: Network }> {
  await ok('network', 'create', '--opt', 'encrypted', 'safe');
  await ok('network', 'create', 'open');
  const everywhere = [...DETACHED, '--mode', 'global', '--network', 'safe'];
  await ok('service', 'create', '--name', 'web', ...everywhere, NGINX);
  const both = [...everywhere, '--network', 'open'];
  await ok('service', 'create', '--name', 'peer', ...both, BUSYBOX, 'sleep', '100000');
  await runEverywhere();
  const inspect = async (name: string): Promise<Network> => {
    const [network] = JSON.parse(await ok('network', 'inspect', name)) as [Network];
    return network;
  };
  return { safe: await inspect('safe'), open: await inspect('open') };
}

export async function removeEverywhere(): Promise<void> {
  await remove('web', 'peer');
  await ctl('m1', 'network', 'rm', 'safe', 'open');
}

/** Waits until both services run on every node, and every node can open what the others seal. */
export async function runEverywhere(): Promise<void> {
  for (const host of lab.nodes) for (const name of ['web', 'peer']) await taskOn(name, host);
  await keysAreEverywhere();
}

export function taskOn(name: string, host: Host): Promise<Task> {
  return until(`a task of ${name} on ${host.name}`, async () => {
    for (const task of await running(name)) if ((await hostOf(task)) === host) return task;
    return undefined;
  });
}

/** Numbers of the keys of the present ring, the oldest first. */
export async function keyIds(): Promise<number[]> {
  const keys = JSON.parse(await ok('network', 'keys', '--format', 'json')) as { id: number }[];
  return keys.map(({ id }) => id);
}

export function keysAreEverywhere(): Promise<true> {
  return until('all nodes to have the present keys', async () => {
    const newest = (await keyIds()).at(-1);
    const all = (await nodes()).filter(({ status }) => status.state === 'ready');
    return all.every(({ description }) => description?.encryption?.newestKey === newest)
      ? true
      : undefined;
  });
}

export function addressIn(network: Network, task: Task): string {
  const found = task.networks.find(({ networkId }) => networkId === network.id);
  if (found === undefined) throw new Error(`task ${task.id} is not on ${network.spec.name}`);
  return found.address.split('/')[0] ?? '';
}

/** What a task's question is answered over HTTP; empty when it is not. */
export function get(task: Task, url: string): Promise<string> {
  return inTask(task, `timeout 60 wget -q -O - '${url}' || true`);
}

/** Of encrypted networks there was ESP, and nothing else. */
export function expectSealed(seen: Seen, network: Network): void {
  expect(seen.esp).toBeGreaterThan(0);
  expect(seen.clear).toBe(0);
  expect([...seen.vnis.keys()]).not.toContain(network.vni);
}
