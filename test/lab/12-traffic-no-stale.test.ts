/**
 * No stale answer: containers on several nodes ask for the tasks of a service all the time, while
 * those are scaled, killed, drained and lost with their node. No address is answered for longer than
 * the bound after its task was known to have stopped.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';

import { isTerminal, type Node, type Task } from '@swarmd/model';

import { makeProbed, removeProbed } from './load/probed.ts';
import { startProber } from './load/start-prober.ts';
import { ctl, hostOf, lab, ok, pidOf, sh, tasks, until, untilRunning } from './support.ts';

/** As documented; generous for a machine that does much else. Agents hear of a commit within 250 ms. */
const BOUND_MS = 5_000;

let probes: Task[];

beforeAll(async () => {
  probes = await makeProbed('fresh');
});

afterAll(async () => {
  await lab.heal('w2');
  await ctl('m1', 'node', 'update', '--availability', 'active', 'w1');
  await removeProbed('fresh');
});

/** When each address that stopped for good did so, as the cluster knows it. */
async function stoppedAt(): Promise<Map<string, number>> {
  const nodes = JSON.parse(await ok('node', 'ls', '--format', 'json')) as Node[];
  const down = new Map(
    nodes
      .filter((node) => node.status.state === 'down')
      .map((node) => [node.id, node.status.since]),
  );
  const stopped = new Map<string, number>();
  const all = await tasks('target');
  for (const task of all) {
    const address = task.networks[0]?.address.split('/')[0] ?? '';
    const lostAt = task.nodeId === undefined ? undefined : down.get(task.nodeId);
    const endedAt = isTerminal(task.status.state) ? task.status.timestamp : lostAt;
    if (address !== '' && endedAt !== undefined) stopped.set(address, endedAt);
  }
  // An address that lives again is not stale.
  for (const task of all) {
    if (isTerminal(task.status.state) || down.has(task.nodeId ?? ('' as never))) continue;
    stopped.delete(task.networks[0]?.address.split('/')[0] ?? '');
  }
  return stopped;
}

it('nobody hears of a task that stopped longer ago than the bound', async () => {
  const probers = await Promise.all(probes.map((probe) => startProber(probe, 'target')));
  await ok('service', 'scale', 'target=6');
  const six = await untilRunning('target', 6);
  for (const task of six.slice(0, 2)) await sh(await hostOf(task), `kill -9 ${pidOf(task)}`);
  await untilRunning('target', 6);
  await ok('node', 'update', '--availability', 'drain', 'w1');
  await untilRunning('target', 6);
  await lab.cut('w2');
  await until('the lost node to be down', async () => {
    const { stdout } = await ctl('m1', 'node', 'ls');
    return /w2 .*Down/.test(stdout) ? true : undefined;
  });
  await until('all to run where they can be reached', async () => {
    const found = (await tasks('target')).filter((task) => task.desiredState === 'running');
    return found.filter((task) => task.status.state === 'running').length === 6 ? true : undefined;
  });
  const stopped = await stoppedAt();
  const results = await Promise.all(probers.map((prober) => prober.stop()));

  const ages = results.flatMap(({ lastSeen }) =>
    [...stopped].map(([address, at]) => Math.max(0, (lastSeen[address] ?? 0) - at)),
  );
  const questions = results.reduce((sum, result) => sum + result.questions, 0);
  const unanswered = results.reduce((sum, result) => sum + result.unanswered, 0);
  const oldestMs = Math.max(...ages);
  const figures = { questions, unanswered, stopped: stopped.size, oldestMs: Math.round(oldestMs) };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  expect(stopped.size).toBeGreaterThanOrEqual(3);
  expect(questions).toBeGreaterThan(100);
  expect(unanswered).toBe(0);
  expect(oldestMs).toBeLessThan(BOUND_MS);
});
