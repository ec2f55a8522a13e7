/** Brings the labs up before the lab tests and takes them away after them, checking that nothing is left. */
import { readdirSync, readFileSync } from 'node:fs';

import { run } from '@swarmd/base/system';
import { Lab } from '@swarmd/lab';

import { leftBehind, snapshots, type Snapshots } from './left-behind.ts';
import { DATA_PATH_6, LABS, labName, MANAGERS, WORKERS } from './labs.ts';

const labs = Array.from({ length: LABS }, (_, index) => ({
  name: labName(index + 1),
  managers: MANAGERS,
  workers: WORKERS,
  dataPath6: DATA_PATH_6,
}));

/** Of the hosts before they were in a cluster. */
const before = new Map<Lab, Snapshots>();

export async function setup(): Promise<void> {
  for (const lab of labs) await bringUp(new Lab(lab));
}

async function bringUp(lab: Lab): Promise<void> {
  await lab.down();
  await lab.up({ cluster: false });
  before.set(lab, await snapshots(lab));
  await lab.cluster.form();
  // Suites lose the same hosts again and again, and none shall wait for what an earlier one did.
  const settings = ['--flap-hold', '0'];
  // On one slow processor a node may be silent for long and well.
  if (process.env['SWARMD_LAB_OWN_KERNEL'] === '1') settings.push('--node-down-after', '60s');
  await lab.host('m1').exec(['swarmctl', 'swarm', 'update', ...settings]);
}

export async function teardown(): Promise<void> {
  const onHosts = await Promise.all(
    [...before].map(([lab, own]) =>
      // Hosts that a failed suite lost for good are no reason to leave the lab up.
      leftBehind(lab, own).catch((error: unknown) => [
        `hosts that did not leave: ${String(error)}`,
      ]),
    ),
  );
  const gone = labs.map((options) => new Lab(options));
  for (const lab of gone) await lab.down();
  const left = [...onHosts, ...(await Promise.all(gone.map(leftovers)))].flat();
  if (left.length > 0) throw new Error(`the labs left something behind:\n${left.join('\n')}`);
}

async function leftovers(lab: Lab): Promise<string[]> {
  const prefix = lab.layout.netns('');
  const { stdout } = await run('ip', ['netns', 'list']);
  const namespaces = stdout.split('\n').filter((line) => line.startsWith(prefix));
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(lab.layout.stateDir));
  const cgroups = readdirSync('/sys/fs/cgroup', { recursive: false, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => cgroupsOf(entry.name).map((name) => `${entry.name}/${name}`))
    .filter((name) => name.includes(lab.layout.cgroup));
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => commandLine(pid).includes(lab.layout.stateDir));
  return [
    ...namespaces,
    ...mounts,
    ...cgroups,
    ...processes.map((pid) => `process ${pid}: ${commandLine(pid)}`),
  ];
}

/** Those below a cgroup or hierarchy of the machine. */
function cgroupsOf(name: string): string[] {
  try {
    return readdirSync(`/sys/fs/cgroup/${name}`);
  } catch {
    return []; // it has just been removed
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it has just ended
  }
}
