/**
 * Asks 127.0.0.11 for the tasks of a service until a file appears: dns-prober.ts NAME PERIOD-MS STOP-FILE
 * START-FILE. Prints one JSON object: when each address was answered last (milliseconds since the
 * epoch, at the moment of asking), and how many questions were asked and had no answer.
 */
import { Resolver } from 'node:dns/promises';
import { existsSync, writeFileSync } from 'node:fs';

export interface ProberResult {
  readonly questions: number;
  readonly unanswered: number;
  readonly lastSeen: Readonly<Record<string, number>>;
}

const [name = '', period = '', stopFile = '', startFile = ''] = process.argv.slice(2);
const resolver = new Resolver({ timeout: 1_000, tries: 1 });
resolver.setServers(['127.0.0.11']);
const lastSeen: Record<string, number> = {};
let questions = 0;
let unanswered = 0;
while (!existsSync(stopFile)) {
  const askedAt = Date.now();
  questions += 1;
  try {
    for (const address of await resolver.resolve4(`tasks.${name}`)) lastSeen[address] = askedAt;
  } catch (error) {
    // Nobody serves for a moment: an answer, and not a stale one.
    if ((error as NodeJS.ErrnoException).code !== 'ENODATA') unanswered += 1;
  }
  if (questions === 1) writeFileSync(startFile, '');
  await new Promise((resolve) => setTimeout(resolve, Number(period)));
}
process.stdout.write(JSON.stringify({ questions, unanswered, lastSeen } satisfies ProberResult));
