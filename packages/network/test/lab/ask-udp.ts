/** `ask-udp.ts ADDRESS:PORT...`: asks one after the other and prints each answer, or "nothing". */
import { createSocket } from 'node:dgram';

for (const target of process.argv.slice(2)) {
  const colon = target.lastIndexOf(':');
  const [address, port] = [target.slice(0, colon), target.slice(colon + 1)];
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const answer = await new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve('nothing\n'), 2_000);
    socket.on('message', (data) => {
      clearTimeout(timer);
      resolve(data.toString());
    });
    socket.on('error', (error) => resolve(`${error.message}\n`));
    socket.connect(Number(port), address, () => socket.send('q'));
  });
  process.stdout.write(answer);
  socket.close();
}
