/**
 * What the network benchmark sends to network/other-end.pl, and asks of names: network-traffic.ts MODE ARGS.
 *   stream HOST PORT MS      prints bits per second of one stream
 *   round-trip HOST PORT MS  prints the median of microseconds for a byte and back
 *   dns NAME IN-FLIGHT MS    prints {perSecond, p50Us, p99Us} of questions to 127.0.0.11
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { quantile } from './statistics.ts';

const CHUNK = Buffer.alloc(256 * 1024, 's');
const [mode = '', ...args] = process.argv.slice(2);

async function open(): Promise<Socket> {
  const socket = connect({ host: args[0] ?? '', port: Number(args[1]), noDelay: true });
  await once(socket, 'connect');
  return socket;
}

async function stream(ms: number): Promise<number> {
  const socket = await open();
  const start = performance.now();
  while (performance.now() - start < ms) {
    if (!socket.write(CHUNK)) await once(socket, 'drain');
  }
  const bits = (socket.bytesWritten - socket.writableLength) * 8;
  const seconds = (performance.now() - start) / 1000;
  socket.destroy();
  return bits / seconds;
}

async function roundTrip(ms: number): Promise<number> {
  const socket = await open();
  const times: number[] = [];
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const start = performance.now();
    socket.write('b');
    await once(socket, 'data');
    times.push((performance.now() - start) * 1000);
  }
  socket.destroy();
  return quantile(times, 0.5);
}

function question(name: string): Buffer {
  const labels = name.split('.').map((label) => `${String.fromCharCode(label.length)}${label}`);
  const head = Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, Buffer.from(labels.join('')), Buffer.from([0, 0, 1, 0, 1])]);
}

async function dns(name: string, inFlight: number, ms: number): Promise<object> {
  const socket = createSocket('udp4');
  socket.connect(53, '127.0.0.11');
  await once(socket, 'connect');
  const text = question(name);
  const asked = new Map<number, number>();
  const times: number[] = [];
  let id = 0;
  const ask = (): void => {
    id = (id + 1) & 0xffff;
    asked.set(id, performance.now());
    const bytes = Buffer.from(text);
    bytes.writeUInt16BE(id, 0);
    socket.send(bytes);
  };
  const start = performance.now();
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('message', (answer) => {
      const at = asked.get(answer.readUInt16BE(0));
      if (at === undefined) return;
      asked.delete(answer.readUInt16BE(0));
      times.push((performance.now() - at) * 1000);
      if (performance.now() - start > ms) resolve();
      else ask();
    });
    for (let i = 0; i < inFlight; i += 1) ask();
  });
  socket.close();
  const perSecond = (times.length / (performance.now() - start)) * 1000;
  return { perSecond, p50Us: quantile(times, 0.5), p99Us: quantile(times, 0.99) };
}

const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
switch (mode) {
  case 'stream':
    say(await stream(Number(args[2])));
    break;
  case 'round-trip':
    say(await roundTrip(Number(args[2])));
    break;
  case 'dns':
    say(await dns(args[0] ?? '', Number(args[1]), Number(args[2])));
    break;
  default:
    throw new Error(`unknown mode "${mode}"`);
}
