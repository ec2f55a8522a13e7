/** Lets every mutation be judged and prints the table: those of time in this process, one after the other. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { mutated, type Mutation } from '@swarmd/base/testing';

import { failingTest } from './memory-tests.ts';
import { CONTROL, MEMORY, TIME } from './mutations.ts';
import { brokenInTime } from './time-scenarios.ts';

const PACKAGES = join(import.meta.dirname, '../../../..');
const SCENARIOS = join(import.meta.dirname, 'time-scenarios.ts');

interface Table {
  readonly table: readonly Mutation[];
  /** What fails; undefined: nothing does. */
  readonly judge: (mutation: Mutation) => Promise<string | undefined>;
  /** The same of the source as it is: must be nothing, or the table says nothing. */
  readonly without: () => Promise<string | undefined>;
}

/** True if every mutation was caught. `quick`: only those that take no test runner. */
export async function runMutations({ quick }: { quick: boolean }): Promise<boolean> {
  using modules = new MutatedModules();
  const inTime = (mutation: Mutation): Promise<string | undefined> => modules.judge(mutation);
  const tables: Table[] = [{ table: TIME, judge: inTime, without: brokenInTime }];
  const remembered = (): Promise<string | undefined> => failingTest(CONTROL);
  if (!quick) tables.push({ table: MEMORY, judge: failingTest, without: remembered });
  let missed = 0;
  let count = 0;
  for (const { table, judge, without } of tables) {
    const failure = await without();
    if (failure !== undefined) {
      process.stdout.write(`it fails without a mistake: ${failure}\n`);
      return false;
    }
    for (const mutation of table) {
      const how = await judge(mutation);
      count += 1;
      if (how === undefined) missed += 1;
      const verdict = how === undefined ? 'MISSED' : 'caught';
      process.stdout.write(`${verdict} ${mutation.name}: ${how ?? 'nothing noticed'}\n`);
    }
  }
  process.stdout.write(`${count - missed} of ${count} caught\n`);
  return missed === 0;
}

/** Loads our own modules anew for every mutation, told apart by a query; what others wrote is loaded once. */
class MutatedModules implements Disposable {
  readonly #hooks: { deregister: () => void };
  readonly #mutations: Mutation[] = [];

  constructor() {
    const own = `${pathToFileURL(PACKAGES).href}/`;
    this.#hooks = registerHooks({
      resolve: (specifier, context, next) => {
        const resolved = next(specifier, context);
        const which = /\?mutation=\d+$/.exec(context.parentURL ?? '')?.[0] ?? '';
        const isOwn = resolved.url.startsWith(own) && !resolved.url.includes('?');
        return isOwn ? { ...resolved, url: resolved.url + which } : resolved;
      },
      load: (url, context, next) => {
        const [path = '', number] = url.split('?mutation=');
        const mutation = this.#mutations[Number(number)];
        if (mutation === undefined || path !== own + mutation.file) return next(url, context);
        const source = mutated(readFileSync(new URL(path), 'utf8'), mutation);
        return { format: 'module-typescript', source, shortCircuit: true };
      },
    });
  }

  async judge(mutation: Mutation): Promise<string | undefined> {
    const number = this.#mutations.push(mutation) - 1;
    const scenarios = (await import(`${SCENARIOS}?mutation=${number}`)) as {
      brokenInTime: typeof brokenInTime;
    };
    return await scenarios.brokenInTime(TIME.find(({ name }) => name === mutation.name)?.scenario);
  }

  [Symbol.dispose](): void {
    this.#hooks.deregister();
  }
}
