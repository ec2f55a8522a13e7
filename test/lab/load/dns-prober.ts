/**
 * Asks 127.0.0.11 for the tasks of a service until a file appears: dns-prober.ts NAME PERIOD-MS STOP-FILE
 * START-FILE. Prints one JSON object. Times are milliseconds since the epoch.
 */
import { Resolver } from 'node:dns/promises';
import { existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';

export interface ProberResult {
  readonly questions: number;
  readonly unanswered: number;
  /** When each address was answered last, at the moment of asking. */
  readonly lastSeen: Readonly<Record<string, number>>;
  /** Every answer that differed from the one before. */
  readonly answers: readonly SeenAnswer[];
}

export interface SeenAnswer {
  /** When it was asked for first. */
  readonly at: number;
  readonly addresses: readonly string[];
  /** When all of them had answered; undefined: another answer came before. */
  reachedAt?: number;
}

/** As long as programs wait (resolv.conf(5)): on a busy machine an answer takes its time. */
const ANSWER_MS = 5_000;
/** Nobody listens there: a refusal is an answer. */
const PORT = 9;
const KNOCK_MS = 500;

const [name = '', period = '', stopFile = '', startFile = ''] = process.argv.slice(2);
const resolver = new Resolver({ timeout: ANSWER_MS, tries: 1 });
resolver.setServers(['127.0.0.11']);
const lastSeen: Record<string, number> = {};
const answers: SeenAnswer[] = [];
let questions = 0;
let unanswered = 0;

function reaches(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: PORT, timeout: KNOCK_MS });
    const end = (isReached: boolean): void => {
      socket.destroy();
      resolve(isReached);
    };
    socket.on('connect', () => end(true));
    socket.on('timeout', () => end(false));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => end(code === 'ECONNREFUSED'));
  });
}

async function reachAll(answer: SeenAnswer): Promise<void> {
  for (const address of answer.addresses) {
    while (!(await reaches(address))) if (answers.at(-1) !== answer) return;
  }
  answer.reachedAt = Date.now();
}

function note(at: number, found: readonly string[]): void {
  for (const address of found) lastSeen[address] = at;
  const addresses = found.toSorted();
  if (answers.at(-1)?.addresses.join() === addresses.join()) return;
  const answer: SeenAnswer = { at, addresses };
  answers.push(answer);
  void reachAll(answer);
}

while (!existsSync(stopFile)) {
  const askedAt = Date.now();
  questions += 1;
  try {
    note(askedAt, await resolver.resolve4(`tasks.${name}`));
  } catch (error) {
    // Nobody serves for a moment: an answer, and not a stale one.
    if ((error as NodeJS.ErrnoException).code === 'ENODATA') note(askedAt, []);
    else unanswered += 1;
  }
  if (questions === 1) writeFileSync(startFile, '');
  await new Promise((resolve) => setTimeout(resolve, Number(period)));
}
const result: ProberResult = { questions, unanswered, lastSeen, answers };
process.stdout.write(JSON.stringify(result), () => process.exit(0));
