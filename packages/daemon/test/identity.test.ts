import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { asId } from '@swarmd/model';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { IdentityStore, type Identity } from '../src/identity/identity.ts';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n';
const IDENTITY: Identity = {
  credentials: {
    keyPem: '-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n',
    certificatePem: CERTIFICATE,
    caPem: CERTIFICATE,
  },
  membership: {
    nodeId: asId('node', 'n1'),
    clusterId: asId('cluster', 'c1'),
    role: 'manager',
    advertise: '10.0.0.1:4242',
    listen: '0.0.0.0:4242',
    raftId: 2 ** 53 - 2,
    managers: ['10.0.0.1:4242'],
  },
};

let folder: string;
let store: IdentityStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmd-identity-'));
  store = new IdentityStore(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('is read as it was written', async () => {
  expect(await store.load()).toBeUndefined();
  await store.save(IDENTITY);
  expect(await store.load()).toEqual(IDENTITY);
});

test('is readable by its owner only', async () => {
  await store.save(IDENTITY);
  const identity = join(folder, 'identity');
  expect((await stat(identity)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(identity)) {
    expect([name, (await stat(join(identity, name))).mode & 0o777]).toEqual([name, 0o600]);
  }
});

test('renewed credentials replace the old ones', async () => {
  await store.save(IDENTITY);
  const credentials = {
    ...IDENTITY.credentials,
    keyPem: IDENTITY.credentials.keyPem.replace('MA', 'MB'),
  };
  await store.saveCredentials(credentials);
  expect(await store.load()).toEqual({ ...IDENTITY, credentials });
});

test('that was not written to its end is none', async () => {
  await store.saveCredentials(IDENTITY.credentials);
  expect(await store.load()).toBeUndefined();
});

test('that is damaged is an error, not a new machine', async () => {
  await store.save(IDENTITY);
  await rm(join(folder, 'identity', 'node.pem'));
  await expect(store.load()).rejects.toMatchObject({ code: 'data-loss' });
  await store.save(IDENTITY);
  await writeFile(join(folder, 'identity', 'node.json'), '{"nodeId":');
  await expect(store.load()).rejects.toMatchObject({ code: 'data-loss' });
});

test('leaves nothing when it is removed', async () => {
  await store.save(IDENTITY);
  await store.remove();
  expect(await readdir(folder)).toEqual([]);
});
