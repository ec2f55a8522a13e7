/**
 * The network plane is killed at every step that changes the machine, one step a life; the next life has
 * what was there, takes away what nobody wants, and leaves nothing behind. See the executor's test of the
 * same name.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chosenSteps, faultEnvironment, NEVER, type FaultPlan } from '@swarmd/base/faults';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { stateOf, task, type Cluster } from './lab/cluster.ts';
import type { NetworkLife } from './lab/fault-life.ts';
import { Lab, type Host } from './lab/lab.ts';
import { back, base, client, front, inner, snapshot } from './lab/scenario.ts';
import { eventually } from './lab/traffic.ts';

/** Some seconds. */
const STEADY_LOOKS = 15;
const LIFE = `${import.meta.dirname}/lab/fault-life.ts`;
const calm: Cluster = { ...base, nodes: 2, tasks: [client], networks: [front] };
const busy: Cluster = { ...calm, tasks: [client, inner], networks: [front, back] };
const during: NetworkLife = {
  before: stateOf(calm, 1),
  during: stateOf(busy, 1),
  tasks: [task(inner), task({ ...client, id: 'cli2', host: 22 })],
};

let lab: Lab;
let host: Host;
const journal = join(tmpdir(), `swarmd-network-faults-${process.pid}`);

beforeAll(async () => {
  lab = await Lab.open(1);
  host = lab.hosts[0] as Host;
}, 180_000);

afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
  await rm(journal, { force: true });
});

/** @returns the steps until it was killed, or all when there are fewer. */
async function live(step: number): Promise<readonly string[]> {
  await writeFile(journal, '');
  const plan: FaultPlan = { who: 'executor', step, journal };
  const set = Object.entries(faultEnvironment(plan)).map(([name, value]) => `${name}=${value}`);
  const mounts = `--mount=/proc/${await host.pid()}/ns/mnt`;
  const program = [process.execPath, LIFE, JSON.stringify(during)];
  const child = lab.start('h1', 'nsenter', mounts, 'env', ...set, ...program);
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
  const steps = (await readFile(journal, 'utf8')).split('\n').filter(Boolean);
  // A shell's way to say SIGKILL is what remains of it through nsenter and env.
  const isKilled = killedBy === 'SIGKILL' || code === 137;
  expect(steps.length === step ? isKilled : code === 0, `${code ?? killedBy}: ${said}`).toBe(true);
  return steps;
}

/**
 * What the agent does after a restart: keeps what it knows, detaches the rest.
 * @returns what remains, once that is as `wanted`, or else once it has long been the same.
 */
async function recover(wanted?: string): Promise<string> {
  await host.open();
  await host.apply(during.before);
  for (const id of await host.attached()) if (id !== client.id) await host.detach(id);
  for (const { id } of during.tasks) await host.detach(id);
  expect(await host.attached()).toEqual([client.id]);
  expect(await host.check()).toSatisfy((found: { details: string[] }[]) =>
    found.every(({ details }) => details.length === 0),
  );
  await host.close();
  let seen = '';
  let times = 0;
  // Links go when the kernel gets to it.
  await eventually('the links of removed containers are gone', async () => {
    const before = seen;
    seen = await remains();
    times = before === seen ? times + 1 : 0;
    return seen === wanted || times > STEADY_LOOKS;
  });
  return seen;
}

async function remains(): Promise<string> {
  const more = 'ip -n swarm-ovl -o -br link | cut -d" " -f1 | cut -d@ -f1 | sort; nft list ruleset';
  // Indexes of interfaces only grow.
  return `${await snapshot(host)}${(await host.sh(more)).out}`.replaceAll(
    /@if\d+|link-netns \S+/g,
    '',
  );
}

test('killed at any step, it loses and leaks nothing', async () => {
  await host.open();
  await host.apply(during.before);
  await host.attach(task(client));
  await host.close();
  const steps = await live(NEVER);
  const before = await recover();
  for (const step of chosenSteps(steps.length, 2)) {
    const [last = ''] = (await live(step)).slice(-1);
    expect
      .soft(await recover(before), `killed at step ${step} of ${steps.length}: ${last}`)
      .toBe(before);
  }
}, 1_200_000);
