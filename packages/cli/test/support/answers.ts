/** What managers might answer, whatever they are asked. */
import type { NodeVerdict, PlannedWait, Preview, RaftStatusInfo } from '@swarmd/api';
import { asId, type NodeId, type Service } from '@swarmd/model';

import { NOW } from './world.ts';

export function aPreview(): Preview {
  const common = { serviceName: 'web', message: 'the task was made from an older spec' };
  return {
    spec: [
      { path: 'mode.replicas', before: '3', after: '4' },
      { path: 'labels.tier', after: '"front"' },
    ],
    tasks: [
      {
        action: 'move',
        slot: 1,
        taskId: asId('task', 't1'),
        fromNodeId: nodeIdOf('nodem1'),
        toNodeId: nodeIdOf('nodew1'),
        ...common,
      },
      { action: 'wait', slot: 4, serviceName: 'web', message: 'no suitable node' },
    ],
    waits: [{ code: 'update-monitor', message: 'the new task is watched', until: NOW + 5_000 }],
    later: 2,
  };
}

export function someVerdicts(): NodeVerdict[] {
  const memory = 'insufficient memory';
  const says = { nodem1: memory, nodem2: memory, nodem3: 'node is down', nodew2: 'drained' };
  return [
    ...Object.entries(says).map(([id, lacks]) => ({ nodeId: nodeIdOf(id), lacks, cure: [] })),
    { nodeId: nodeIdOf('nodew1'), cure: [] },
  ];
}

/** Only one service is busy. */
export function someWaits({ spec }: Service): PlannedWait[] {
  if (spec.name !== 'web') return [];
  const message = 'web.1 is updated; the delay passes before the next one';
  const once = 'web.2 would move to node w1, which has more room; at most 1 may be on the move';
  return [
    { code: 'update-delay', message, until: NOW + 9_000 },
    { code: 'rebalance-budget', message: once },
  ];
}

function nodeIdOf(short: string): NodeId {
  return asId('node', short.padEnd(25, '0'));
}

/** Of three managers, as the first of them sees it. */
export function raftStatus(): RaftStatusInfo {
  const member = (n: number, role: 'voter' | 'learner' = 'voter') => {
    const nodeId = asId('node', `nodem${n}`.padEnd(25, '0'));
    return { raftId: n, nodeId, address: `10.0.0.${n}:4244`, role };
  };
  const peer = { next: 101, recentlyActive: true };
  return {
    raftId: 1,
    role: 'leader',
    term: 7,
    leader: 1,
    commit: 100,
    applied: 99,
    first: 1,
    last: 100,
    members: [member(1), member(2), member(3, 'learner')],
    progress: [
      { raftId: 1, state: 'replicate', match: 100, ...peer },
      { raftId: 2, state: 'probe', match: 98, ...peer },
      { raftId: 3, state: 'snapshot', match: 0, ...peer },
    ],
    snapshot: 50,
    logEntries: 100,
    logBytes: 10_240,
    transferTarget: 0,
    writeP99Us: 1_234,
    peers: [
      {
        raftId: 2,
        connection: 'open',
        connectionError: '',
        lastContactMs: 12,
        queuedMessages: 0,
        behind: 2,
        inflightMessages: 1,
        limit: '',
      },
      {
        raftId: 3,
        connection: 'closed',
        connectionError: 'connect ECONNREFUSED',
        queuedMessages: 0,
        behind: 100,
        inflightMessages: 0,
        limit: 'it cannot be reached: connect ECONNREFUSED',
      },
    ],
  };
}
