/**
 * `server.ts NAME PORT FILE`: answers TCP connections and datagrams of both families at a port with its
 * name and the address it sees: "NAME ADDRESS". At the port after it, TCP is echoed. Makes FILE when it
 * listens; ends when it is gone.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';

const [name = '', portText = '', file = ''] = process.argv.slice(2);
const port = Number(portText);
const LOOKS_EVERY_MS = 500;

for (const [host, udp] of [
  ['0.0.0.0', 'udp4'],
  ['::', 'udp6'],
] as const) {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(`${name} ${socket.remoteAddress}`);
  });
  server.listen({ port, host, ipv6Only: true });
  const socket = createSocket({ type: udp, ipv6Only: udp === 'udp6' });
  socket.on('message', (_, from) => {
    socket.send(`${name} ${from.address}`, from.port, from.address);
  });
  socket.bind(port, host);
  await Promise.all([once(server, 'listening'), once(socket, 'listening')]);
}
const echo = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});
echo.listen({ port: port + 1, host: '::' });
await once(echo, 'listening');
writeFileSync(file, '');
setInterval(() => {
  if (!existsSync(file)) process.exit(0);
}, LOOKS_EVERY_MS);
