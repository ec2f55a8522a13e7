/** A name server of the outside: answers every A question with 192.0.2.53. `upstream.ts ADDRESS` */
import { createSocket } from 'node:dgram';

import { decode, encode, AUTHORITATIVE_ANSWER } from 'dns-packet';

const socket = createSocket('udp4');
socket.on('message', (bytes, from) => {
  const { id, questions } = decode(bytes);
  const name = questions?.[0]?.name ?? '';
  const answers = [{ type: 'A' as const, name, ttl: 60, data: '192.0.2.53' }];
  const reply = { type: 'response' as const, flags: AUTHORITATIVE_ANSWER, questions, answers };
  socket.send(encode({ ...reply, ...(id === undefined ? {} : { id }) }), from.port, from.address);
});
socket.bind(53, process.argv[2], () => process.stdout.write('listening\n'));
