/** Properties of the pure parts, checked against the slow and obvious way to compute them. */
import * as fc from 'fast-check';
import { errorCode } from '@swarmd/base';
import { describe, expect, test } from 'vitest';
import {
  EMPTY_GROUP,
  MembershipChanger,
  restoreMembership,
  type Group,
} from '../../src/core/conf-change.ts';
import {
  decodeConfChange,
  encodeConfChange,
  LEAVE_JOINT,
} from '../../src/core/conf-change-codec.ts';
import { entryBytes, limitBytes, totalBytes } from '../../src/core/entry-size.ts';
import { Inflights } from '../../src/core/inflights.ts';
import { ascending, confStateOf, EMPTY_CONF_STATE } from '../../src/core/membership.ts';
import { MemoryLog } from '../../src/core/memory-log.ts';
import { jointIndex, jointVote, majorityIndex } from '../../src/core/quorum.ts';
import type { ConfChange, ConfChangeStep } from '../../src/core/types.ts';
import { entry } from './support/group.ts';

const anId = fc.integer({ min: 1, max: 6 });
const aStep: fc.Arbitrary<ConfChangeStep> = fc.record({
  kind: fc.constantFrom('addVoter', 'addLearner', 'remove', 'update'),
  id: anId,
});
const CONTEXT = { lastIndex: 10, limits: { messages: 10, bytes: Infinity } };

/** The result, or the code of the error. */
function attempt(run: () => string): string {
  try {
    return run();
  } catch (error) {
    return errorCode(error);
  }
}

describe('quorum', () => {
  const reached = fc.dictionary(fc.constantFrom('1', '2', '3', '4', '5', '6'), fc.nat(20));
  const someVoters = fc.uniqueArray(anId, { maxLength: 6 });

  test('the committed index is the largest that a majority has reached', () => {
    fc.assert(
      fc.property(someVoters, reached, (ids, indexes) => {
        fc.pre(ids.length > 0);
        const has = (index: number): number =>
          ids.filter((id) => (indexes[id] ?? 0) >= index).length;
        let expected = 0;
        while (2 * has(expected + 1) > ids.length) expected++;
        expect(majorityIndex(new Set(ids), (id) => indexes[id])).toBe(expected);
      }),
    );
  });

  test('33: both halves decide, in whichever order they are named', () => {
    fc.assert(
      fc.property(someVoters, someVoters, reached, (first, second, indexes) => {
        const index = (id: number): number | undefined => indexes[id];
        const votes = new Map(Object.entries(indexes).map(([id, at]) => [Number(id), at > 9]));
        const voters = { incoming: new Set(first), outgoing: new Set(second) };
        const swapped = { incoming: voters.outgoing, outgoing: voters.incoming };
        expect(jointIndex(voters, index)).toBe(jointIndex(swapped, index));
        expect(jointIndex(voters, index)).toBe(
          Math.min(majorityIndex(voters.incoming, index), majorityIndex(voters.outgoing, index)),
        );
        expect(jointVote(voters, votes)).toBe(jointVote(swapped, votes));
      }),
    );
  });
});

describe('membership changes', () => {
  function start(): Group {
    const result = new MembershipChanger(EMPTY_GROUP, CONTEXT).simple([
      { kind: 'addVoter', id: 1 },
    ]);
    if (!result.ok) throw new Error(result.why);
    return result.group;
  }

  test('simple steps one after the other end where one joint change does', () => {
    fc.assert(
      fc.property(fc.array(aStep, { maxLength: 8 }), (steps) => {
        // Voter 1 stays, so that no order of steps removes all voters on the way.
        const kept = steps.filter(({ id }) => id !== 1);
        let simple = start();
        for (const step of kept) {
          const result = new MembershipChanger(simple, CONTEXT).simple([step]);
          if (!result.ok) throw new Error(result.why);
          simple = result.group;
        }
        const joint = new MembershipChanger(start(), CONTEXT).enterJoint(false, kept);
        if (!joint.ok) throw new Error(joint.why);
        const left = new MembershipChanger(joint.group, CONTEXT).leaveJoint();
        if (!left.ok) throw new Error(left.why);
        expect(confStateOf(left.group.membership)).toEqual(confStateOf(simple.membership));
        expect(ascending(left.group.progress.keys())).toEqual(ascending(simple.progress.keys()));
      }),
    );
  });

  test('a membership is restored from its ConfState, joint or not', () => {
    fc.assert(
      fc.property(fc.array(aStep, { maxLength: 8 }), fc.boolean(), (steps, autoLeave) => {
        const joint = new MembershipChanger(start(), CONTEXT).enterJoint(autoLeave, steps);
        fc.pre(joint.ok);
        const conf = confStateOf(joint.group.membership);
        expect(confStateOf(restoreMembership(conf, CONTEXT).membership)).toEqual(conf);
      }),
    );
  });

  test('a refused change leaves everything as it was', () => {
    const group = start();
    const before = JSON.stringify([...group.progress]);
    const result = new MembershipChanger(group, CONTEXT).simple([
      { kind: 'addLearner', id: 1 },
      { kind: 'addLearner', id: 2 },
    ]);
    expect(result).toEqual({ ok: false, why: 'removed all voters' });
    expect(JSON.stringify([...group.progress])).toBe(before);
  });

  test('a change survives its encoding', () => {
    const aChange: fc.Arbitrary<ConfChange> = fc.record({
      transition: fc.constantFrom('auto', 'implicit', 'explicit'),
      steps: fc.array(
        fc.record({
          kind: fc.constantFrom('addVoter', 'addLearner', 'remove', 'update'),
          id: fc.maxSafeNat(),
        }),
      ),
      context: fc.uint8Array(),
    });
    fc.assert(
      fc.property(aChange, (change) => {
        const data = encodeConfChange(change);
        expect(decodeConfChange({ kind: 'confChange', data })).toEqual(change);
      }),
    );
    expect(encodeConfChange(LEAVE_JOINT)).toHaveLength(0);
  });

  test('bytes that are no change are refused, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (data) => {
        const outcome = attempt(() => decodeConfChange({ kind: 'confChange', data }).transition);
        expect(['auto', 'implicit', 'explicit', 'data-loss']).toContain(outcome);
      }),
    );
  });
});

describe('sizes', () => {
  test('a limit cuts after whole entries, and never before the first', () => {
    const someEntries = fc.array(fc.string({ maxLength: 300 }), { maxLength: 10 });
    fc.assert(
      fc.property(someEntries, fc.nat(2000), (texts, limit) => {
        const entries = texts.map((text, at) => entry(3, at + 1, text));
        const cut = limitBytes(entries, limit);
        expect(cut).toEqual(entries.slice(0, cut.length));
        expect(cut.length <= 1 || totalBytes(cut) <= limit).toBe(true);
        const next = entries[cut.length];
        expect(!next || (cut.length > 0 && totalBytes(cut) + entryBytes(next) > limit)).toBe(true);
      }),
    );
  });

  test('the window counts what is in it', () => {
    const window = new Inflights({ messages: 3, bytes: 100 });
    window.add(1, 10);
    window.add(5, 10);
    expect(window.full()).toBe(false);
    window.add(7, 10);
    expect(window.full()).toBe(true);
    window.release(4);
    expect(window.count).toBe(2);
    // The byte limit is soft: one message may cross it.
    window.add(9, 500);
    expect(window.full()).toBe(true);
    window.release(9);
    expect(window.count).toBe(0);
    expect(window.full()).toBe(false);
  });
});

describe('the log in memory', () => {
  test('knows what its entries carry, and how far back so many bytes reach', () => {
    const sizes = fc.array(fc.nat(100), { maxLength: 30 });
    fc.assert(
      fc.property(sizes, fc.tuple(fc.nat(30), fc.nat(30)), fc.nat(400), (all, cuts, bytes) => {
        const [later, compact] = cuts;
        const log = new MemoryLog();
        const sized = all.map((size, at) => ({ ...entry(1, at + 1), data: new Uint8Array(size) }));
        log.append(sized);
        log.setSnapshot({
          ...entry(1, Math.min(compact, log.last())),
          confState: EMPTY_CONF_STATE,
        });
        const overwrite = Math.max(compact, later);
        log.append(sized.slice(overwrite, overwrite + 3));
        log.compact(Math.min(compact, log.last()));
        const carried = (from: number): number =>
          log.entries(from, log.last() + 1, Infinity).reduce((n, { data }) => n + data.length, 0);
        expect(log.bytes()).toBe(carried(log.first()));
        const fresh = Math.max(log.first(), (log.snapshot()?.index ?? 0) + 1);
        expect(log.bytesSinceSnapshot()).toBe(carried(fresh));
        const start = log.startOfTail(log.last(), bytes);
        expect(carried(start)).toBeLessThanOrEqual(bytes);
        const more = start > log.first() ? carried(start - 1) : Infinity;
        expect(more).toBeGreaterThan(bytes);
      }),
    );
  });

  test('holds what was appended last, from the compacted index on', () => {
    const anAppend = fc.record({ from: fc.nat(8), count: fc.nat(5), compact: fc.nat(10) });
    fc.assert(
      fc.property(fc.array(anAppend, { maxLength: 20 }), (appends) => {
        const log = new MemoryLog();
        const model: number[] = [];
        let base = 0;
        for (const [term, { from, count, compact }] of appends.entries()) {
          const start = Math.max(base + 1, Math.min(base + from, base + model.length) + 1);
          const entries = Array.from({ length: count }, (_, at) => entry(term + 1, start + at));
          log.append(entries);
          if (count > 0) model.splice(start - base - 1, Infinity, ...entries.map((e) => e.term));
          const upTo = Math.min(compact, base + model.length);
          log.compact(upTo);
          if (upTo > base) {
            model.splice(0, upTo - base);
            base = upTo;
          }
          expect([log.first(), log.last()]).toEqual([base + 1, base + model.length]);
          const stored = log.entries(log.first(), log.last() + 1, Infinity);
          expect(stored.map((e) => e.term)).toEqual(model);
        }
      }),
    );
  });
});
