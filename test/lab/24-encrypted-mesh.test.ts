/**
 * Published ports over an encrypted mesh, as clients outside see them and as it looks between the nodes; and
 * what encryption costs.
 */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';

import type { Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { quantile } from '../bench/statistics.ts';
import {
  addressIn,
  canEncrypt,
  createEverywhere,
  ENCRYPTED_TIMEOUT_MS,
  removeEverywhere,
  taskOn,
} from './encrypted.ts';
import { ctl, hostOf, lab, NGINX, ok, pidOf, remove, sh, until, untilRunning } from './support.ts';
import { Capture, type Seen } from './wire.ts';

const PUBLISHED = 8_090;
/** Of the mesh. */
const MESH_VNI = 4_096;
const TRAFFIC = fileURLToPath(new URL('../bench/network-traffic.ts', import.meta.url));
const OTHER_END = fileURLToPath(new URL('../bench/network/other-end.pl', import.meta.url));
const TRAFFIC_PORT = 9_000;
const ROUNDS = 3;
const MEASURED_MS = 3_000;

describe.runIf(canEncrypt)('the mesh', { timeout: ENCRYPTED_TIMEOUT_MS }, () => {
  beforeAll(async () => {
    const publish = ['--publish', `${PUBLISHED}:80`, '--constraint', 'node.hostname==w1'];
    await ok('service', 'create', '--name', 'shop', ...publish, NGINX);
    await untilRunning('shop', 1);
  }, ENCRYPTED_TIMEOUT_MS);
  afterAll(async () => {
    await ctl('m1', 'swarm', 'update', '--encrypt-mesh', 'false');
    await remove('shop');
  }, ENCRYPTED_TIMEOUT_MS);

  /** A client outside asks every node for what only one has. */
  async function askEverywhere(secret: string): Promise<Seen> {
    await using capture = await Capture.start();
    for (const { place } of lab.nodes) {
      const url = `http://${place.address}:${PUBLISHED}/?${secret}`;
      const { stdout } = await lab.client.exec(['curl', '-sS', '--max-time', '60', url]);
      expect(stdout).toContain(`you are ${lab.client.place.address}`);
    }
    return await capture.stop();
  }

  async function encryptMesh(wanted: boolean): Promise<void> {
    await ok('swarm', 'update', '--encrypt-mesh', String(wanted));
    const port = wanted ? 4_790 : 4_789;
    await until(`the mesh of every node to use port ${port}`, async () => {
      const lines = lab.nodes.map((host) => sh(host, 'ip -d link show ing0 2>&1 || true'));
      return (await Promise.all(lines)).every((text) => text.includes(`dstport ${port}`))
        ? true
        : undefined;
    });
    await until('every node to answer by it', async () => {
      const urls = lab.nodes.map(({ place }) => `http://${place.address}:${PUBLISHED}/`);
      const { code } = await lab.client.exec(['curl', '-sSf', '--max-time', '5', ...urls], {
        okCodes: [0, 7, 22, 28, 52, 56],
      });
      return code === 0 ? true : undefined;
    });
  }

  it('is in clear unless told otherwise', async () => {
    const secret = randomUUID();
    const seen = await askEverywhere(secret);
    expect(seen.esp).toBe(0);
    expect(seen.vnis.get(MESH_VNI)).toBeGreaterThan(0);
    expect(seen.tells(secret)).toBe(true);
  });

  it('is sealed when it is to be, and the client keeps its address', async () => {
    await encryptMesh(true);
    const secret = randomUUID();
    const seen = await askEverywhere(secret);
    expect(seen.esp).toBeGreaterThan(0);
    expect(seen.clear).toBe(0);
    expect([...seen.vnis.keys()]).not.toContain(MESH_VNI);
    expect(seen.tells(secret)).toBe(false);
  });

  it('goes back to clear when told', async () => {
    await encryptMesh(false);
    const secret = randomUUID();
    const seen = await askEverywhere(secret);
    expect(seen.esp).toBe(0);
    expect(seen.tells(secret)).toBe(true);
  });
});

describe.runIf(canEncrypt)('what it costs', { timeout: ENCRYPTED_TIMEOUT_MS }, () => {
  const w1 = lab.host('w1');
  let server: Task;
  let client: Task;
  let addresses: Record<'plain' | 'encrypted', string>;

  beforeAll(async () => {
    const { safe, open } = await createEverywhere();
    [server, client] = [await taskOn('peer', w1), await taskOn('peer', lab.host('m1'))];
    addresses = { plain: addressIn(open, server), encrypted: addressIn(safe, server) };
    const argv = [...inside(server), 'perl', OTHER_END, String(TRAFFIC_PORT)];
    await w1.startService('traffic', argv);
  }, ENCRYPTED_TIMEOUT_MS);
  afterAll(async () => {
    await w1.killService('traffic');
    await removeEverywhere();
  }, ENCRYPTED_TIMEOUT_MS);

  const inside = (task: Task): string[] => `nsenter --target ${pidOf(task)} --net --`.split(' ');

  async function measure(what: 'stream' | 'round-trip', address: string): Promise<number> {
    const asked = [what, address, String(TRAFFIC_PORT), String(MEASURED_MS)];
    const argv = [...inside(client), process.execPath, TRAFFIC, ...asked];
    return Number((await (await hostOf(client)).exec(argv)).stdout);
  }

  it('is told as figures, both ways in turns', async () => {
    await until('the server to listen', async () => {
      const listening = await sh(w1, `nsenter --target ${pidOf(server)} --net ss -ltn`);
      return listening.includes(`:${TRAFFIC_PORT} `) || undefined;
    });
    const values: Record<string, number[]> = {};
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const what of ['stream', 'round-trip'] as const) {
        for (const [way, address] of Object.entries(addresses)) {
          (values[`${what} ${way}`] ??= []).push(await measure(what, address));
        }
      }
    }
    const median = (name: string): number => quantile(values[name] ?? [], 0.5);
    const [plain, encrypted] = [median('stream plain'), median('stream encrypted')];
    const [fast, slow] = [median('round-trip plain'), median('round-trip encrypted')];
    const line = {
      bench: 'encryption',
      kernel: await sh(w1, 'uname -r'),
      megabitsPerSecond: {
        plain: plain / 1e6,
        encrypted: encrypted / 1e6,
        ratio: encrypted / plain,
      },
      roundTripUs: { plain: fast, encrypted: slow, ratio: slow / fast },
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
    expect(Math.min(plain, encrypted, fast, slow)).toBeGreaterThan(0);
  });
});
