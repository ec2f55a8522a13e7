/** A service whose names are asked for, and a container on every manager to ask from. */
import type { Task } from '@swarmd/model';

import { BUSYBOX, ctl, lab, ok, remove, untilRunning } from '../support.ts';

/** How many tasks the service `target` has at first. */
export const TARGETS = 3;
const MANAGERS = lab.nodes.filter(({ name }) => name.startsWith('m'));

/** Makes `network` with the services `target` and `probe` on it. @returns the tasks of `probe`. */
export async function makeProbed(network: string): Promise<Task[]> {
  await ok('network', 'create', network);
  const common = `--detach --network ${network} --stop-grace-period 0s`.split(' ');
  const sleeper = [BUSYBOX, 'sleep', '100000'];
  const perManager = '--mode global --constraint node.role==manager'.split(' ');
  const replicated = `--replicas ${TARGETS} --restart-delay 0s`.split(' ');
  await ok('service', 'create', '--name', 'probe', ...perManager, ...common, ...sleeper);
  await ok('service', 'create', '--name', 'target', ...replicated, ...common, ...sleeper);
  await untilRunning('target', TARGETS);
  return untilRunning('probe', MANAGERS.length);
}

export async function removeProbed(network: string): Promise<void> {
  await remove('probe', 'target');
  await ctl('m1', 'network', 'rm', network);
}
