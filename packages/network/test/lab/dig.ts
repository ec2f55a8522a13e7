/** `dig.ts SERVER udp|tcp TYPE NAME...`: prints what a server answers, as one line of JSON a name. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

import {
  decode,
  encode,
  streamDecode,
  streamEncode,
  type Packet,
  type RecordType,
} from 'dns-packet';

const [server = '', transport, type = 'A', ...names] = process.argv.slice(2);

for (const [i, name] of names.entries()) {
  const question: Packet = {
    type: 'query',
    id: i + 1,
    flags: 256,
    questions: [{ type: type as RecordType, name }],
  };
  const answer = await (transport === 'tcp' ? overTcp(question) : overUdp(question));
  const data = (answer.answers ?? []).map((one) =>
    'data' in one && typeof one.data === 'string' ? one.data : '',
  );
  const code = (answer.flags ?? 0) & 15;
  process.stdout.write(
    `${JSON.stringify({ name, code, data: data.toSorted((a, b) => a.localeCompare(b)) })}\n`,
  );
}

function overUdp(question: Packet): Promise<Packet> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.on('message', (bytes) => {
      socket.close();
      resolve(decode(bytes));
    });
    socket.send(encode(question), 53, server);
  });
}

function overTcp(question: Packet): Promise<Packet> {
  return new Promise((resolve) => {
    const socket = connect(53, server);
    let all = Buffer.alloc(0);
    socket.on('data', (data: Buffer) => {
      all = Buffer.concat([all, data]);
      if (all.length < 2 + all.readUInt16BE(0)) return;
      socket.destroy();
      resolve(streamDecode(all));
    });
    socket.write(streamEncode(question));
  });
}
