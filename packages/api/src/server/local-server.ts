/** A server on a unix socket that only its owner can open: who reaches it is trusted. */
import { lstat, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';

import { errorMessage, silentLogger, SwarmError, type Logger } from '@swarmd/base';

import { GrpcHost, type ApiServer } from './api-server.ts';

const SOCKET_MODE = 0o600;

/**
 * Add services with `serveX`, before or after. A socket that a crashed process left is replaced.
 * @throws SwarmError `already-exists` when another process answers on it, `failed-precondition` when
 * something else is in the way.
 */
export async function createLocalServer(options: {
  readonly path: string;
  readonly logger?: Logger;
}): Promise<ApiServer> {
  const { path, logger = silentLogger } = options;
  await removeStale(path);
  const host = new GrpcHost(logger, () => ({ kind: 'local' }));
  await listen(host, path);
  return host;
}

/**
 * The socket has the right mode from its first moment; it is not corrected later. The process's mask
 * is changed only for as long as it takes to bind, which happens at once.
 */
async function listen(host: GrpcHost, path: string): Promise<void> {
  const listener = createServer((socket) => host.accept(socket));
  const before = process.umask(0o777 & ~SOCKET_MODE);
  const listening = host.listen(listener, { path });
  process.umask(before);
  try {
    await listening;
  } catch (cause) {
    await host[Symbol.asyncDispose]();
    const message = `cannot listen on ${path}: ${errorMessage(cause)}`;
    throw new SwarmError('failed-precondition', message, { cause });
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new SwarmError('failed-precondition', `${path} exists and is no socket; remove it`);
  }
  if (await answers(path)) {
    throw new SwarmError('already-exists', `another process serves ${path}; stop it first`);
  }
  await rm(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });
}
