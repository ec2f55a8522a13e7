import { describe, expect, it } from 'vitest';

import { decideAdoption, type Remains } from '../src/container/adoption.ts';
import type { ContainerRecord } from '../src/container/record.ts';

const record = (
  phase: ContainerRecord['phase'],
  more: Partial<ContainerRecord> = {},
): ContainerRecord => ({
  id: 'c',
  name: 'c',
  image: 'i',
  labels: {},
  phase,
  bootId: 'now',
  stopSignal: 'SIGTERM',
  ...more,
});
const ALIVE: Remains = {
  bootId: 'now',
  exitCode: undefined,
  isProcessAlive: true,
  isMonitorAlive: true,
  isWaiting: false,
};
const EXIT = { code: 3, oomKilled: true, error: '' };

describe('adoption', () => {
  it.each<[string, ContainerRecord, Partial<Remains>, object]>([
    ['half made', record('creating'), {}, { kind: 'remove' }],
    ['half removed', record('removing', { exit: EXIT }), {}, { kind: 'remove' }],
    ['ended before', record('exited', { exit: EXIT }), {}, { kind: 'exited', exit: EXIT }],
    ['running', record('running'), {}, { kind: 'adopt', phase: 'running' }],
    ['created', record('created'), { isWaiting: true }, { kind: 'adopt', phase: 'created' }],
    [
      'started, but killed before that was written',
      record('created'),
      {},
      { kind: 'adopt', phase: 'running' },
    ],
    [
      'started, with the fifo left',
      record('running'),
      { isWaiting: true },
      { kind: 'adopt', phase: 'running' },
    ],
    [
      'ended meanwhile',
      record('running'),
      { isProcessAlive: false, isMonitorAlive: false, exitCode: 4 },
      { kind: 'ended' },
    ],
    [
      'about to be reported',
      record('running'),
      { isProcessAlive: false },
      { kind: 'adopt', phase: 'running' },
    ],
    [
      'without its monitor',
      record('running'),
      { isMonitorAlive: false },
      { kind: 'kill', exit: { code: 137 } },
    ],
    [
      'of another boot',
      record('running'),
      { bootId: 'later' },
      { kind: 'exited', exit: { code: 137, error: 'the machine was restarted' } },
    ],
  ])('of a container %s', (_, ...[record, remains, wanted]) => {
    expect(decideAdoption(record, { ...ALIVE, ...remains })).toMatchObject(wanted);
  });
});
