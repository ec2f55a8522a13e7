/** What is listed by one shell for several who ask at once, for real. */
import { expect, test } from 'vitest';

import { list, listJson } from '../src/apply/listing.ts';

test('each who asks hears of its own listing, and only the one that failed hears why', async () => {
  const [links, routes, missing, nothing] = await Promise.all([
    listJson<{ ifname: string }>('ip', ['link', 'show', 'dev', 'lo']),
    list('ip', ['route', 'show', 'table', 'local', 'dev', 'lo']),
    listJson('ip', ['link', 'show', 'dev', 'no-such-link']).catch(String),
    listJson('ip', ['neigh', 'show', 'dev', 'lo', 'nud', 'failed']),
  ]);
  expect(links.map(({ ifname }) => ifname)).toEqual(['lo']);
  expect(routes).toMatchObject({ code: 0, stdout: expect.stringContaining('127.0.0.') as string });
  expect(missing).toMatch(/ip link show dev no-such-link: exit code 1: .*does not exist/);
  expect(nothing).toEqual([]);
});

test('listings that come while others are under way are not mixed up', async () => {
  const help = {
    code: 255,
    stdout: '',
    stderr: expect.stringMatching(/^Usage: ip link/) as string,
  };
  const loopback = {
    code: 0,
    stdout: expect.stringContaining('"ifname":"lo"') as string,
    stderr: '',
  };
  const all = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      if (i % 3 === 0) await Promise.resolve();
      return list('ip', i % 2 === 0 ? ['link', 'help'] : ['-j', 'link', 'show', 'dev', 'lo']);
    }),
  );
  expect(all).toEqual(all.map((_, i) => (i % 2 === 0 ? help : loopback)));
});
