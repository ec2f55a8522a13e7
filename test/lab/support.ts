/** What the lab tests share: the running lab, swarmctl on a host, waiting, looking at the kernel. */
import { SwarmError } from '@swarmd/base';
import { openCluster, type ClusterClient } from '@swarmd/client';
import { Lab, waitUntil, type Host } from '@swarmd/lab';
import type { Service, Task } from '@swarmd/model';

import { labName } from './labs.ts';

/** All cases of what CI has some of: `SWARMD_LAB_LONG=1`. */
export const LONG = process.env['SWARMD_LAB_LONG'] === '1';

/** The lab has a kernel to itself (`npm run lab:kernel`), which can do all that swarmd asks of one. */
export const OWN_KERNEL = process.env['SWARMD_LAB_OWN_KERNEL'] === '1';

/** The cases themselves in the long form, else those that are marked. */
export function casesOf<T extends { readonly short?: boolean }>(cases: readonly T[]): readonly T[] {
  return cases.filter(({ short }) => LONG || short === true);
}

/** The lab of this worker of the test runner, which has it to itself. */
export const LAB_NAME = labName(Number(process.env['VITEST_POOL_ID'] ?? '1'));
const STEP_TIMEOUT_MS = 120_000;
/** What swarmctl exits with when nobody could answer. */
const UNREACHABLE = 4;

function openLab(): Lab {
  const lab = Lab.open(LAB_NAME);
  if (lab === undefined)
    throw new Error('the lab is not up: these tests run through scripts/test lab');
  return lab;
}

export const lab = openLab();
export const NGINX = `${lab.layout.registryEndpoint}/nginx:1`;
export const NGINX_2 = `${lab.layout.registryEndpoint}/nginx:2`;
export const BUSYBOX = `${lab.layout.registryEndpoint}/busybox:1`;

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs swarmctl on a host, whatever its exit code. */
export async function ctl(host: string, ...args: string[]): Promise<Outcome> {
  const codes = [0, 1, 2, 3, 4, 5, 130];
  return lab.host(host).exec(['swarmctl', ...args], { okCodes: codes });
}

/**
 * Runs swarmctl on m1 and expects it to succeed. @returns its standard output.
 * @throws `unavailable` when nobody could answer, which `until` waits for.
 */
export function ok(...args: string[]): Promise<string> {
  return okOn('m1', ...args);
}

/** The same on another host. */
export async function okOn(host: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await ctl(host, ...args);
  if (code === 0) return stdout;
  const message = `swarmctl ${args.join(' ')}: exit ${code}: ${stderr}`;
  throw new SwarmError(code === UNREACHABLE ? 'unavailable' : 'internal', message);
}

/** The control API of a host's manager, by way of its socket. */
export function cluster(host: string): ClusterClient & Disposable {
  const pid = lab.host(host).initPid;
  if (pid === undefined) throw new Error(`${host} is off`);
  return openCluster(`/proc/${pid}/root/run/swarmd/control.sock`);
}

export async function service(name: string): Promise<Service> {
  const [found] = JSON.parse(await ok('service', 'inspect', name)) as Service[];
  if (found === undefined) throw new Error(`no service ${name}`);
  return found;
}

/** All tasks of a service, those of the past too. */
export async function tasks(name: string): Promise<Task[]> {
  return JSON.parse(await ok('service', 'ps', '--format', 'json', name)) as Task[];
}

/** Tasks of a service that run and are meant to. */
export async function running(name: string): Promise<Task[]> {
  return (await tasks(name)).filter(
    (task) => task.status.state === 'running' && task.desiredState === 'running',
  );
}

export function until<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = STEP_TIMEOUT_MS,
): Promise<T> {
  return waitUntil({ what, timeoutMs }, probe);
}

/** Waits until exactly `count` tasks of the service run. */
export function untilRunning(name: string, count: number): Promise<Task[]> {
  return until(`${count} running tasks of ${name}`, async () => {
    const found = await running(name);
    return found.length === count ? found : undefined;
  });
}

let hostByNode: Map<string, string> | undefined;

/** The host that a task runs on. */
export async function hostOf(task: Task): Promise<Host> {
  const known = hostByNode?.get(task.nodeId ?? '');
  if (known !== undefined) return lab.host(known);
  const nodes = JSON.parse(await ok('node', 'ls', '--format', 'json')) as {
    id: string;
    status: { address: string };
  }[];
  hostByNode = new Map(
    nodes.map((node) => [
      node.id,
      lab.nodes.find((host) => host.place.address === node.status.address)?.name ?? '',
    ]),
  );
  return lab.host(hostByNode.get(task.nodeId ?? '') ?? '');
}

export function pidOf(task: Task): number {
  if (task.status.pid === undefined) throw new Error(`task ${task.id} has no pid`);
  return task.status.pid;
}

/** Runs a shell line on a host and gives what it prints. */
export async function sh(host: Host, line: string): Promise<string> {
  return (await host.exec(['sh', '-c', line])).stdout.trim();
}

/** Runs a shell line inside a task's container (its network, files and processes). */
export async function inTask(task: Task, line: string): Promise<string> {
  const host = await hostOf(task);
  const enter = [
    'nsenter',
    '--target',
    String(pidOf(task)),
    '--net',
    '--mount',
    '--pid',
    '--uts',
    '--ipc',
  ];
  return (await host.exec([...enter, '/bin/sh', '-c', line], { okCodes: [0, 1] })).stdout.trim();
}

/** First existing file of the task's cgroup, v1 or v2. `v1` is controller/file. */
export async function cgroupFile(task: Task, files: { v1: string; v2: string }): Promise<string> {
  const host = await hostOf(task);
  const [controller = '', file = ''] = files.v1.split('/');
  const line = `pid=${pidOf(task)}
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
      cat "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$pid/cgroup)/${files.v2}"
    else
      cat "/sys/fs/cgroup/${controller}$(awk -F: '$2 ~ /(^|,)${controller}(,|$)/ {print $3}' /proc/$pid/cgroup)/${file}"
    fi`;
  return sh(host, line);
}

/** Removes services, and waits until nothing of them is left. */
export async function remove(...names: string[]): Promise<void> {
  for (const name of names) await ctl('m1', 'service', 'rm', name);
  await until(`tasks of ${names.join(', ')} to be gone`, async () => {
    const rows = JSON.parse(await ok('task', 'ls', '--format', 'json')) as Task[];
    return rows.some((task) => names.includes(task.serviceName)) ? undefined : true;
  });
}

/** The manager that leads, by host name. */
export function leader(asking = 'm1'): Promise<string> {
  return until('a leader', async () => {
    const { code, stdout } = await ctl(asking, 'swarm', 'raft', 'status', '--format', 'json');
    if (code !== 0) return undefined;
    const [status] = JSON.parse(stdout) as {
      leader: number;
      members: { raftId: number; address: string }[];
    }[];
    const member = status?.members.find((candidate) => candidate.raftId === status.leader);
    return lab.nodes.find((host) => host.place.address === member?.address.split(':')[0])?.name;
  });
}
