/**
 * `asker.ts QUESTIONS`: asks all at once and prints the answers as JSON, in the same order: what the
 * server said, or why there was nothing.
 */
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';

export interface Question {
  readonly protocol: 'tcp' | 'udp';
  readonly family: 4 | 6;
  /** Address, or a name to be asked from 127.0.0.11. */
  readonly host: string;
  readonly port: number;
  /** Milliseconds until there is no answer. */
  readonly waitMs: number;
}

/** A datagram may be lost on a machine that does much else, and is then repeated. */
const REPEAT_MS = 700;
const DNS = '127.0.0.11';

async function ask(question: Question): Promise<string> {
  const isAddress = /^[\d.]+$|:/.test(question.host);
  const host = isAddress ? question.host : await resolve(question);
  if (host === undefined) return 'no such name';
  return question.protocol === 'tcp' ? overTcp(host, question) : overUdp(host, question);
}

async function resolve({ host, family, waitMs }: Question): Promise<string | undefined> {
  const resolver = new Resolver({ timeout: waitMs, tries: 1 });
  resolver.setServers([DNS]);
  try {
    const found = await (family === 4 ? resolver.resolve4(host) : resolver.resolve6(host));
    return found[0];
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOTFOUND', 'ENODATA', 'ECONNREFUSED', 'ETIMEOUT'].includes(code)) return undefined;
    throw error;
  }
}

function overTcp(host: string, { port, waitMs }: Question): Promise<string> {
  return new Promise((done) => {
    let text = '';
    const socket = connect({ host, port, timeout: waitMs });
    socket.on('data', (data) => (text += data.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    socket.on('close', () => done(text));
    socket.on('timeout', () => {
      done('timeout');
      socket.destroy();
    });
  });
}

function overUdp(host: string, { port, family, waitMs }: Question): Promise<string> {
  return new Promise((done) => {
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
    const end = (text: string): void => {
      clearTimeout(deadline);
      clearInterval(repeat);
      done(text);
    };
    const deadline = setTimeout(() => {
      end('timeout');
      socket.close();
    }, waitMs);
    const send = (): void => socket.send('?');
    const repeat = setInterval(() => send(), REPEAT_MS);
    socket.on('message', (data) => {
      end(data.toString());
      socket.close();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    // Typed as if it could not fail, but it is told of an address without a route.
    const connected = (error?: NodeJS.ErrnoException): void =>
      error === undefined || error === null ? send() : end(error.code ?? error.message);
    socket.connect(port, host, connected);
  });
}

const questions = JSON.parse(process.argv[2] ?? '[]') as Question[];
const answers = JSON.stringify(await Promise.all(questions.map(ask)));
// Sockets that never got anywhere would keep the program alive.
process.stdout.write(answers, () => process.exit(0));
