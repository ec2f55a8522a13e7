/** Ports of the loopback for servers of tests, some of which end and come back at the same port. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below those that the kernel gives to whoever asks for any (32768 to 60999, ip(7)): while a server has not begun
 * yet, or is away for a moment, a server or connection of another test would be given its port.
 */
const FIRST = 10_000;
const COUNT = 22_000;
/** Between processes that follow each other. */
const STRIDE = 211;

let next = (process.pid * STRIDE) % COUNT;

/** A port that is free for TCP and UDP, and that no other call in this process is given soon. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries += 1) {
    const port = FIRST + next;
    next = (next + 1) % COUNT;
    if ((await isFree(port)) && (await isFreeForDatagrams(port))) return port;
  }
  throw new Error(`no port from ${FIRST} to ${FIRST + COUNT - 1} is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = once(server, 'listening');
  server.listen(port, '127.0.0.1');
  if (!(await isDone(listening))) return false;
  server.close();
  await once(server, 'close');
  return true;
}

async function isFreeForDatagrams(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  const bound = once(socket, 'listening');
  socket.bind(port, '127.0.0.1');
  const isBound = await isDone(bound);
  socket.close();
  return isBound;
}

async function isDone(step: Promise<unknown>): Promise<boolean> {
  try {
    await step;
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return false;
  }
}
