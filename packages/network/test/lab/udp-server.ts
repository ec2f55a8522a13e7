/**
 * `udp-server.ts NAME [udp6]`: answers every datagram on port 80 with its name and the sender's address.
 */
import { createSocket } from 'node:dgram';

const [name, family] = process.argv.slice(2);
const type = family === 'udp6' ? 'udp6' : 'udp4';
const socket = createSocket({ type, ipv6Only: type === 'udp6' });
socket.on('message', (_, from) => {
  socket.send(`${name} ${from.address}\n`, from.port, from.address);
});
socket.bind(80);
