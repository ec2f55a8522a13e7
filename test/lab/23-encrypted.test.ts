/**
 * A whole cluster with an encrypted network: what is reached, and what of it is seen between the nodes, while
 * all is well, keys change, a daemon dies, a node comes and barriers fall.
 */
import { randomUUID } from 'node:crypto';

import type { Host } from '@swarmd/lab';
import type { Network, Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  addressIn,
  canEncrypt,
  createEverywhere,
  ENCRYPTED_TIMEOUT_MS,
  expectSealed,
  get,
  keyIds,
  keysAreEverywhere,
  nodes,
  removeEverywhere,
  runEverywhere,
  taskOn,
} from './encrypted.ts';
import { Pings } from './pings.ts';
import { ctl, hostOf, inTask, lab, ok, pidOf, service, sh, until } from './support.ts';
import { Capture } from './wire.ts';

const [m1, w1] = [lab.host('m1'), lab.host('w1')];
/** It leaves and joins. */
const comer = lab.nodes.at(-1) as Host;

describe.runIf(canEncrypt)('an encrypted network', { timeout: ENCRYPTED_TIMEOUT_MS }, () => {
  let [safe, open] = [] as unknown as [Network, Network];
  let [near, far] = [] as unknown as [Task, Task];

  beforeAll(async () => {
    ({ safe, open } = await createEverywhere());
    [near, far] = [await taskOn('peer', m1), await taskOn('peer', w1)];
  }, ENCRYPTED_TIMEOUT_MS);
  afterAll(removeEverywhere, ENCRYPTED_TIMEOUT_MS);

  it('reaches names, virtual addresses and tasks of all nodes, and nobody else can read it', async () => {
    const [secret, shown] = [randomUUID(), word()];
    const vip = (await service('web')).endpoint.virtualIps[0]?.address ?? '';
    await using capture = await Capture.start();
    for (const host of lab.nodes) {
      const peer = await taskOn('peer', host);
      expect(await inTask(peer, 'nslookup web 127.0.0.11')).toContain(vip);
      const all = await inTask(peer, 'nslookup tasks.web 127.0.0.11');
      const servers = new Set<string | undefined>();
      for (const other of lab.nodes) {
        const address = addressIn(safe, await taskOn('web', other));
        expect(all).toContain(address);
        const answer = await get(peer, `http://${address}/?${secret}`);
        expect(answer).toContain(`you are ${addressIn(safe, peer)}`);
        servers.add(/^hello from (\S+)/.exec(await get(peer, `http://web/?${secret}`))?.[1]);
      }
      // One after the other: each in its turn.
      expect(servers.size).toBe(lab.nodes.length);
    }
    // What is not sealed is seen.
    await ping(near, { address: addressIn(open, far), text: shown });
    const seen = await capture.stop();
    expectSealed(seen, safe);
    expect(seen.tells(secret)).toBe(false);
    expect(seen.tells(shown)).toBe(true);
    expect([...seen.vnis.keys()]).toContain(open.vni);
  });

  it('loses nothing while keys change until none of the first is left', async () => {
    const before = await keyIds();
    await using capture = await Capture.start();
    await using there = await Pings.start(near, addressIn(safe, far));
    await using back = await Pings.start(far, addressIn(safe, near));
    while ((await keyIds()).some((id) => before.includes(id))) {
      const newest = (await keyIds()).at(-1);
      await ok('network', 'keys', '--rotate');
      await until('new keys', async () => (await keyIds()).at(-1) !== newest || undefined);
      await keysAreEverywhere();
    }
    const [forth, home] = [await there.stop(), await back.stop()];
    expect([forth.lost, home.lost]).toEqual([[], []]);
    const seen = await capture.stop();
    expectSealed(seen, safe);
    // Each way of each question is one packet.
    expect(seen.esp).toBeGreaterThanOrEqual(2 * (forth.answered + home.answered));
  });

  it('goes on, sealed, while a daemon is killed with -9 and comes back', async () => {
    await using capture = await Capture.start();
    await using there = await Pings.start(near, addressIn(safe, far));
    await lab.crash('w1');
    await lab.heal('w1');
    await untilWell(w1);
    expect((await there.stop()).lost).toEqual([]);
    const after = await taskOn('peer', w1);
    expect([after.id, pidOf(after)]).toEqual([far.id, pidOf(far)]);
    expectSealed(await capture.stop(), safe);
  });

  it.each([
    ['states', 'ip xfrm state flush'],
    ['policies', 'ip xfrm policy flush'],
    ['rules', 'nft flush chain ip swarmd post_mangle'],
  ])('says nothing in clear without its %s, and is mended', async (_, spoil) => {
    const secret = word();
    await using capture = await Capture.start();
    await sh(w1, spoil);
    await ping(far, { address: addressIn(safe, near), text: secret });
    await ctl('w1', 'doctor', 'network', '--repair');
    await untilWell(w1);
    await using back = await Pings.start(far, addressIn(safe, near));
    expect((await back.stop()).lost).toEqual([]);
    const seen = await capture.stop();
    expectSealed(seen, safe);
    expect(seen.tells(secret)).toBe(false);
  });

  it('says nothing in clear while a node comes', async () => {
    const { address } = comer.place;
    const former = (await nodes()).find(({ status }) => status.address === address);
    expect((await ctl(comer.name, 'swarm', 'leave')).code).toBe(0);
    await until('the node to be down', async () => {
      const found = (await nodes()).find(({ id }) => id === former?.id);
      return found?.status.state === 'down' || undefined;
    });
    await ok('node', 'rm', former?.id ?? '');

    const secret = randomUUID();
    await using capture = await Capture.start();
    await using there = await Pings.start(near, addressIn(safe, far));
    await lab.cluster.form();
    const newcomer = await taskOn('peer', comer);
    const server = await taskOn('web', comer);
    await until('it to be answered, and to answer', async () => {
      const asked = await get(near, `http://${addressIn(safe, server)}/?${secret}`);
      const asks = await get(newcomer, `http://web/?${secret}`);
      return (asked.includes('hello from') && asks.includes('hello from')) || undefined;
    });
    await keysAreEverywhere();
    expect((await there.stop()).lost).toEqual([]);
    const seen = await capture.stop();
    expectSealed(seen, safe);
    expect(seen.tells(secret)).toBe(false);
    await runEverywhere();
  });
});

/** As long as the pattern of a ping. */
const word = (): string => randomUUID().slice(-12);

/** Some packets that say the same all over, whether answered or not. */
async function ping(
  from: Task,
  { address, text }: { address: string; text: string },
): Promise<void> {
  const argv = `ping -q -c5 -i0.2 -W1 -p ${Buffer.from(text).toString('hex')} ${address}`;
  await sh(await hostOf(from), `nsenter --target ${pidOf(from)} --net ${argv} || true`);
}

/** Its doctor finds nothing, so that all is as it should be and every other node is reached. */
async function untilWell(host: Host): Promise<void> {
  let said = '';
  try {
    await until(`the doctor to find nothing wrong on ${host.name}`, async () => {
      const { code, stdout, stderr } = await ctl(host.name, 'doctor', 'network');
      said = `exit ${code}: ${stdout}${stderr}`;
      return code === 0 || undefined;
    });
  } catch (cause) {
    throw new Error(`the doctor says:\n${said}`, { cause });
  }
}
