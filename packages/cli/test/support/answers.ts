/** What managers might answer, whatever they are asked. */
import type { NodeVerdict, Preview } from '@swarmd/api';
import { asId, type NodeId } from '@swarmd/model';

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
    ...Object.entries(says).map(([id, lacks]) => ({ nodeId: nodeIdOf(id), lacks })),
    { nodeId: nodeIdOf('nodew1') },
  ];
}

function nodeIdOf(short: string): NodeId {
  return asId('node', short.padEnd(25, '0'));
}
