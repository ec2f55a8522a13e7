/** The judge of histories: it must find what is wrong, and nothing else. */
import { array, assert, boolean, integer, nat, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';

import { checkLinearizable, register, type RegisterOperation } from '../src/testing.ts';

/** "2-5 read a", "2-5 a>b", "2-? a>b": from when to when, and what. */
function verdict(...lines: readonly string[]): string {
  const operations = lines.map((line) => {
    const [times = '', ...words] = line.split(' ');
    const [invoked = '', completed = ''] = times.split('-');
    const [what = '', value = ''] = words;
    const [from = '', to = ''] = what.split('>');
    const input: RegisterOperation =
      what === 'read' ? { kind: 'read', value } : { kind: 'change', from, to };
    return {
      invoked: Number(invoked),
      completed: completed === '?' ? undefined : Number(completed),
      input,
    };
  });
  return checkLinearizable(register('a'), operations).kind;
}

describe('histories that one register can tell', () => {
  it.each([
    { name: 'nothing', lines: [] },
    { name: 'one after the other', lines: ['1-2 a>b', '3-4 read b', '5-6 b>c', '7-8 read c'] },
    { name: 'a read beside a change sees either', lines: ['1-5 a>b', '2-3 read a', '3-4 read b'] },
    { name: 'an unknown change took effect', lines: ['1-? a>b', '5-6 read b'] },
    { name: 'an unknown change took no effect', lines: ['1-? a>b', '5-6 read a'] },
    { name: 'an unknown change took effect late', lines: ['1-? a>b', '2-3 read a', '4-5 read b'] },
    {
      name: 'changes that overlap, in the only order',
      lines: ['1-9 b>c', '2-8 a>b', '10-11 read c'],
    },
  ])('$name', ({ lines }) => {
    expect(verdict(...lines)).toBe('linearizable');
  });
});

describe('histories that none can tell', () => {
  it.each([
    { name: 'a stale read', lines: ['1-2 a>b', '3-4 read a'] },
    { name: 'a lost write', lines: ['1-2 a>b', '3-4 read b', '5-6 read a'] },
    { name: 'two changes of the same state', lines: ['1-5 a>b', '2-6 a>c'] },
    {
      name: 'reads that go back while a change is under way',
      lines: ['1-9 a>b', '2-3 read b', '4-5 read a'],
    },
    { name: 'an unknown change before it was asked for', lines: ['1-2 read b', '3-? a>b'] },
    {
      name: 'an unknown change that took effect twice',
      lines: ['1-? a>b', '2-3 read b', '4-5 b>a', '6-7 read b'],
    },
  ])('$name', ({ lines }) => {
    expect(verdict(...lines)).toBe('violation');
  });
});

it('believes every history of a real register, and no stale read in it', () => {
  const step = record({ width: integer({ min: 0, max: 9 }), change: boolean() });
  assert(
    property(array(step, { minLength: 3, maxLength: 40 }), nat(), (steps, which) => {
      let value = 'a';
      const lines = steps.map(({ width, change }, n) => {
        const at = 20 + n * 4;
        const times = `${at - width}-${at + 1 + width}`;
        if (!change) return `${times} read ${value}`;
        const from = value;
        value = `v${n}`;
        return `${times} ${from}>${value}`;
      });
      expect(verdict(...lines)).toBe('linearizable');
      const end = 20 + steps.length * 4 + 20;
      const old = which % 2 === 0 ? 'never' : 'gone';
      expect(verdict(...lines, `${end}-${end + 1} read ${old}`)).toBe('violation');
    }),
  );
});
