/**
 * Requests that come again take effect once, whatever becomes of the proposals they leave in: lost,
 * committed without anybody hearing of it, and over a change of the leader by snapshot.
 */
import { SwarmError } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { asId, configSpec, type Config } from '@swarmd/model';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { REQUEST_KEPT_MS } from '../src/limits.ts';
import { createStore, type Store } from '../src/index.ts';
import { createMemoryStore } from '../src/testing.ts';

const { signal } = new AbortController();

type Fate = 'committed' | 'unheard' | 'lost';

/** A leader whose proposals meet these fates, one after the other; then all are committed. */
function leader(fates: Fate[], clock: ManualClock): Store {
  let version = 0;
  const store: Store = createStore({
    clock,
    proposer: {
      propose: async (changes, _signal, requests) => {
        await Promise.resolve();
        const fate = fates.shift() ?? 'committed';
        version = Math.max(version, store.view.version) + 1;
        if (fate !== 'lost') store.apply(version, changes, requests);
        if (fate === 'committed') return version;
        throw new SwarmError('unknown-outcome', 'the leader was lost');
      },
    },
  });
  return store;
}

function config(name: string): Config {
  return {
    id: asId('config', `${name}-${Math.random()}`),
    meta: { version: 0, createdAt: 0, updatedAt: 0 },
    spec: configSpec.parse({ name, data: new Uint8Array([1]) }),
    number: 1,
  };
}

/** Creates a config as the control API does: a new id for every attempt, refused when the name is taken. */
async function create(leaders: readonly Store[], name: string): Promise<string> {
  for (const [attempt, store] of leaders.entries()) {
    try {
      return await store.updateOnce(
        `request-${name}`,
        (tx) => {
          const made = config(name);
          tx.put('config', made);
          return made.id;
        },
        signal,
      );
    } catch (error) {
      if (!(error instanceof SwarmError) || error.code !== 'unknown-outcome') throw error;
      if (attempt === leaders.length - 1) throw error;
    }
  }
  throw new Error('no leader');
}

it('each request takes effect exactly once', async () => {
  const fate = fc.constantFrom<Fate>('committed', 'unheard', 'lost');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fate, { maxLength: 8 }),
      fc.integer({ min: 1, max: 12 }),
      async (fates, count) => {
        const clock = new ManualClock(1_000);
        const first = leader([...fates], clock);
        const names = Array.from({ length: count }, (_, at) => `config-${at}`);
        // Ten attempts: more than there are bad fates.
        const answers = await Promise.all(
          names.map((name) =>
            create(
              Array.from({ length: 10 }, () => first),
              name,
            ),
          ),
        );
        expect(first.view.count('config')).toBe(count);
        for (const [at, name] of names.entries()) {
          expect(first.view.configByName(name)?.id).toBe(answers[at]);
        }
        // The next leader has it all from a snapshot: those that ask again get the same answers.
        const next = createMemoryStore({ clock });
        next.restore(first.view.version, first.snapshot(), first.requests());
        expect(await Promise.all(names.map((name) => create([next], name)))).toEqual(answers);
        expect(next.view.count('config')).toBe(count);
      },
    ),
    { numRuns: 60 },
  );
});

it('the same request twice in one batch takes effect once', async () => {
  const store = createMemoryStore();
  const [one, two] = await Promise.all([create([store], 'web'), create([store], 'web')]);
  expect(one).toBe(two);
  expect(store.view.count('config')).toBe(1);
});

it('requests are forgotten by the time in the log', async () => {
  const clock = new ManualClock(1_000);
  const store = createMemoryStore({ clock });
  await create([store], 'old');
  clock.advance(REQUEST_KEPT_MS - 1);
  await create([store], 'newer');
  expect(store.isApplied('request-old')).toBe(true);
  clock.advance(2);
  expect(store.isApplied('request-old')).toBe(true);
  await create([store], 'newest');
  expect(store.isApplied('request-old')).toBe(false);
  expect(store.requests().map(({ id }) => id)).toEqual(['request-newer', 'request-newest']);
});
