/**
 * `watcher.ts WAYS STOP-FILE START-FILE`: asks by each way again and again, and holds a connection by each
 * that says something all the time, until the file appears. Prints a `Watched` for each way.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface Way {
  readonly host: string;
  /** Where every new connection is told who answers. */
  readonly port: number;
  /** Where what is said is echoed. */
  readonly echoPort: number;
}

export interface Watched {
  readonly asked: number;
  readonly failed: number;
  /** When the last question was asked that had no answer (milliseconds since 1970); 0: none. */
  readonly lastFailedAt: number;
  /** Of the held connection: the longest time without an echo, the last one, and how it ended, if it did. */
  readonly silenceMs: number;
  readonly lastHeardAt: number;
  readonly ended?: string;
}

const PERIOD_MS = 100;
/** Some packets of full size. */
const SAYS = 'x'.repeat(8_192);
const TIMEOUT_MS = 1_000;

const [waysText = '[]', stopFile = '', startFile = ''] = process.argv.slice(2);
const ways = JSON.parse(waysText) as Way[];

function ask({ host, port }: Way): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => socket.destroy(), TIMEOUT_MS);
    let text = '';
    socket.on('data', (data) => (text += data.toString()));
    // What follows is the close.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      done(text !== '');
    });
  });
}

interface Held {
  silenceMs: number;
  lastHeardAt: number;
  ended?: string;
  readonly stop: () => void;
}

function hold({ host, echoPort }: Way): Held {
  const socket = connect({ host, port: echoPort });
  const say = setInterval(() => socket.write(SAYS), PERIOD_MS);
  const hear = (): void => {
    held.silenceMs = Math.max(held.silenceMs, Date.now() - held.lastHeardAt);
  };
  const held: Held = {
    silenceMs: 0,
    lastHeardAt: Date.now(),
    stop: () => {
      hear();
      clearInterval(say);
      socket.removeAllListeners('close');
      socket.destroy();
    },
  };
  socket.on('data', () => {
    hear();
    held.lastHeardAt = Date.now();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => (held.ended = error.code ?? error.message));
  socket.on('close', () => {
    clearInterval(say);
    held.ended ??= 'closed';
  });
  return held;
}

async function watch(way: Way): Promise<Watched> {
  const held = hold(way);
  let [asked, failed, lastFailedAt] = [0, 0, 0];
  while (!existsSync(stopFile)) {
    const at = Date.now();
    asked += 1;
    if (!(await ask(way))) {
      failed += 1;
      lastFailedAt = at;
    }
    await delay(Math.max(0, PERIOD_MS - (Date.now() - at)));
  }
  held.stop();
  const { silenceMs, lastHeardAt, ended } = held;
  const end = ended === undefined ? {} : { ended };
  return { asked, failed, lastFailedAt, silenceMs, lastHeardAt, ...end };
}

const watching = ways.map(watch);
writeFileSync(startFile, '');
process.stdout.write(JSON.stringify(await Promise.all(watching)), () => process.exit(0));
