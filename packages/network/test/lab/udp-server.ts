/** `udp-server.ts NAME`: answers every datagram on port 80 with its name and the sender's address. */
import { createSocket } from 'node:dgram';

const socket = createSocket('udp4');
socket.on('message', (_, from) => {
  socket.send(`${process.argv[2]} ${from.address}\n`, from.port, from.address);
});
socket.bind(80);
