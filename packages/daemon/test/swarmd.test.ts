/** Real swarmd processes that are in no cluster, and what they answer. Nothing here needs root. */
import { readdir, stat } from 'node:fs/promises';

import { createClusterServer, serveCa, type ClusterServer } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import {
  createJoinToken,
  createKeyAndCsr,
  createRootCa,
  signNodeCertificate,
  type RootCa,
} from '@swarmd/pki';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { Swarmd } from './support/swarmd.ts';

let swarmd: Swarmd;
beforeEach(async () => {
  swarmd = await Swarmd.make();
});
afterEach(() => swarmd[Symbol.asyncDispose]());

test('is inactive, on a socket for its owner, until SIGTERM', async () => {
  await swarmd.start('--advertise-addr', '127.0.0.1');
  expect(await swarmd.call((local, call) => local.info({}, call))).toMatchObject({
    state: 'inactive',
    error: '',
    nodeId: '',
    role: '',
    address: '127.0.0.1',
    managers: [],
    controlSocket: '',
  });
  expect((await stat(swarmd.socket)).mode & 0o777).toBe(0o600);
  expect(await swarmd.stop()).toBe(0);
});

test('replaces the socket of one that was killed', async () => {
  await swarmd.start();
  await swarmd.stop('SIGKILL');
  expect((await stat(swarmd.socket)).isSocket()).toBe(true);
  await swarmd.start();
});

test('refuses a run directory that another one uses', async () => {
  await swarmd.start();
  const first = swarmd.output.length;
  swarmd.spawn();
  expect(await swarmd.ended()).toBe(1);
  expect(swarmd.output.slice(first)).toContain('stop it first');
});

test('says which flag is wrong', async () => {
  swarmd.spawn('--log-level', 'loud');
  expect(await swarmd.ended()).toBe(2);
  expect(swarmd.output).toBe(
    'swarmd: --log-level "loud" must be one of debug, info, warn, error\n',
  );
});

describe('a join that fails', () => {
  let ca: RootCa;
  let server: ClusterServer;
  let remote: string;

  beforeAll(async () => {
    const now = Date.now();
    ca = createRootCa({ now });
    const { keyPem, csrPem } = createKeyAndCsr();
    const certificatePem = signNodeCertificate({
      caCert: ca.certificatePem,
      caKey: ca.keyPem,
      csrPem,
      nodeId: 'n1',
      clusterId: 'c1',
      role: 'manager',
      expiryMs: 3_600_000,
      now,
    });
    server = await createClusterServer({
      host: '127.0.0.1',
      port: 0,
      tls: () => ({ certificatePem, keyPem, caPem: ca.certificatePem, clusterId: 'c1' }),
    });
    serveCa(server, {
      issueCertificate: () =>
        Promise.reject(new SwarmError('permission-denied', 'this join token is not valid')),
    });
    remote = `127.0.0.1:${server.port}`;
  });
  afterAll(() => server[Symbol.asyncDispose]());

  function join(token: string, ...remotes: string[]) {
    const own = { advertiseAddress: '127.0.0.1', listenAddress: '127.0.0.1' };
    const request = { token, remotes, ...own, dataPathAddress: '' };
    return swarmd.call((local, call) => local.join(request, call));
  }

  test('says why, and leaves the machine as it was', async () => {
    await swarmd.start();
    const token = createJoinToken(ca.certificatePem);
    const foreign = createJoinToken(createRootCa({ now: Date.now() }).certificatePem);
    await expect(join('SWMTKN-1-no', remote)).rejects.toThrow('this is no join token');
    await expect(join(token)).rejects.toThrow('say at least one manager');
    await expect(join(token, 'elsewhere')).rejects.toThrow(
      'manager "elsewhere" must be an IPv4 address',
    );
    await expect(join(token, '127.0.0.1:1')).rejects.toMatchObject({ code: 'unavailable' });
    await expect(join(foreign, remote)).rejects.toThrow('is not a manager of the cluster');
    await expect(join(token, '127.0.0.1:1', remote)).rejects.toThrow(
      'this join token is not valid',
    );
    const info = await swarmd.call((local, call) => local.info({}, call));
    expect(info).toMatchObject({ state: 'inactive', error: '', nodeId: '' });
    expect(await readdir(swarmd.stateDir)).toEqual([]);
  });

  test('leaves what is not asked of it alone', async () => {
    await swarmd.start();
    await expect(swarmd.call((local, call) => local.leave({ force: false }, call))).rejects.toThrow(
      'this machine is in no cluster',
    );
  });
});
