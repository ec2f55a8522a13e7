import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { createServer } from 'node:tls';

import { afterEach, describe, expect, it } from 'vitest';

import {
  createJoinToken,
  createKeyAndCsr,
  createRootCa,
  fetchRootCa,
  parseJoinToken,
  roleOfToken,
  signNodeCertificate,
} from '../src/index.ts';

const now = Date.now();
const root = createRootCa({ now });
const stranger = createRootCa({ now });
const signal = AbortSignal.timeout(300_000);

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, 'close');
  }
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A TLS server with a certificate signed by `signer`, that presents `presented` as its root. */
function manager(signer = root, presented = root): Promise<string> {
  const { keyPem, csrPem } = createKeyAndCsr();
  const certificate = signNodeCertificate({
    caCert: signer.certificatePem,
    caKey: signer.keyPem,
    csrPem,
    nodeId: 'n',
    clusterId: 'c',
    role: 'manager',
    expiryMs: 3_600_000,
    now,
  });
  const server = createServer({ cert: certificate + presented.certificatePem, key: keyPem });
  server.on('secureConnection', (socket) => socket.on('error', () => undefined));
  return listen(server);
}

describe('a join token', () => {
  const token = createJoinToken(root.certificatePem);

  it('has the form of Swarm’s, the same digest for the same root, and a new secret each time', () => {
    const other = createJoinToken(root.certificatePem);
    expect(token).toMatch(/^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
    expect(parseJoinToken(other).caDigest).toBe(parseJoinToken(token).caDigest);
    expect(parseJoinToken(other).secret).not.toBe(parseJoinToken(token).secret);
    expect(parseJoinToken(` ${token}\n`)).toEqual(parseJoinToken(token));
  });

  it.each(['', 'SWMTKN-1-abc-def', token.slice(0, -1), `${token}0`, token.toUpperCase()])(
    'is not %j',
    (text) => {
      expect(() => parseJoinToken(text)).toThrow(/no join token/);
    },
  );

  it('gives the role it was made for', () => {
    const tokens = { worker: token, manager: createJoinToken(root.certificatePem) };
    expect(roleOfToken(tokens.worker, tokens)).toBe('worker');
    expect(roleOfToken(tokens.manager, tokens)).toBe('manager');
    expect(roleOfToken(createJoinToken(root.certificatePem), tokens)).toBeUndefined();
    expect(roleOfToken('', tokens)).toBeUndefined();
  });
});

describe('fetching the root', () => {
  const token = createJoinToken(root.certificatePem);

  it('takes the root that the token names from the server’s chain', async () => {
    const address = await manager();
    expect(await fetchRootCa({ address, token, signal })).toBe(root.certificatePem);
  });

  it.each([
    ['another cluster', stranger, stranger],
    ['someone who shows the right root but has no certificate of it', stranger, root],
  ])('refuses %s', async (_who, signer, presented) => {
    const address = await manager(signer, presented);
    await expect(fetchRootCa({ address, token, signal })).rejects.toMatchObject({
      code: 'unauthenticated',
      message: expect.stringContaining('someone else answers') as string,
    });
  });

  it('says when nobody answers, when the answer is no TLS, and when the address is none', async () => {
    const plain = await listen(createTcpServer((socket) => socket.resume().end('hello\r\n')));
    const closed = await listen(createTcpServer());
    const server = servers.pop()!;
    server.close();
    await once(server, 'close');
    for (const address of [plain, closed]) {
      await expect(fetchRootCa({ address, token, signal })).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining(address) as string,
      });
    }
    await expect(fetchRootCa({ address: 'nowhere', token, signal })).rejects.toThrow(/host:port/);
    await expect(fetchRootCa({ address: plain, token: 'x', signal })).rejects.toThrow(
      /no join token/,
    );
  });

  it('ends with its signal', async () => {
    const connected = createTcpServer();
    const address = await listen(connected);
    const controller = new AbortController();
    connected.on('connection', (socket) => {
      socket.resume().on('error', () => undefined);
      controller.abort(new Error('enough'));
    });
    await expect(fetchRootCa({ address, token, signal: controller.signal })).rejects.toThrow(
      'enough',
    );
  });
});
