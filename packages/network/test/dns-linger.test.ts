/** When the name server waits awake for the next question, and when it sleeps. */
import { ManualClock } from '@swarmd/base/testing';
import { beforeEach, expect, test } from 'vitest';

import { Linger } from '../src/dns/linger.ts';
import { DNS_LINGER_AFTER, DNS_LINGER_AFTER_MAX, DNS_LINGER_MS } from '../src/limits.ts';

const SOON_MS = DNS_LINGER_MS / 3;
let clock: ManualClock;
let linger: Linger;
let steps: (() => void)[];

beforeEach(() => {
  [clock, steps] = [new ManualClock(), []];
  linger = new Linger({ clock, nextTurn: (step) => void steps.push(step) });
});

/** One question each so long after the one before. */
function ask(questions: number, everyMs: number): void {
  for (let i = 0; i < questions; i += 1) {
    clock.advance(everyMs);
    linger.asked();
  }
}

/** @returns whether it looks again after this turn. */
function turn(afterMs: number): boolean {
  clock.advance(afterMs);
  for (const step of steps.splice(0)) step();
  return steps.length > 0;
}

test('after quick questions it looks for the next one, until none has come for its time', () => {
  ask(DNS_LINGER_AFTER + 1, SOON_MS);
  expect(steps).toHaveLength(1);
  expect(turn(SOON_MS)).toBe(true);
  ask(1, SOON_MS);
  expect(steps).toHaveLength(1);
  expect(turn(SOON_MS)).toBe(true);
  expect(turn(SOON_MS)).toBe(true);
  expect(turn(DNS_LINGER_MS)).toBe(false);
});

test('who waited in vain does so after more questions, until it has been worth it', () => {
  for (let needed = DNS_LINGER_AFTER; needed <= DNS_LINGER_AFTER_MAX; needed *= 2) {
    clock.advance(DNS_LINGER_MS);
    ask(needed, SOON_MS);
    expect(steps).toHaveLength(0);
    ask(1, SOON_MS);
    expect(steps).toHaveLength(1);
    if (needed === DNS_LINGER_AFTER_MAX) ask(needed, SOON_MS);
    expect(turn(2 * DNS_LINGER_MS)).toBe(false);
  }
  ask(DNS_LINGER_AFTER + 1, SOON_MS);
  expect(steps).toHaveLength(1);
});

test('single questions and slow ones are not waited for', () => {
  ask(DNS_LINGER_AFTER, SOON_MS);
  ask(10 * DNS_LINGER_AFTER, 2 * DNS_LINGER_MS);
  expect(steps).toHaveLength(0);
});

test('a server that closes looks no more', () => {
  ask(DNS_LINGER_AFTER + 1, SOON_MS);
  linger[Symbol.dispose]();
  expect(turn(0)).toBe(false);
});
