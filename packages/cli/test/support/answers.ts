/** What managers might answer, whatever they are asked. */
import type { Preview } from '@swarmd/api';
import { asId } from '@swarmd/model';

import { NOW } from './world.ts';

export function aPreview(): Preview {
  const [m1, w1] = ['nodem1', 'nodew1'].map((id) => asId('node', id.padEnd(25, '0')));
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
        fromNodeId: m1!,
        toNodeId: w1!,
        ...common,
      },
      { action: 'wait', slot: 4, serviceName: 'web', message: 'no suitable node' },
    ],
    waits: [{ code: 'update-monitor', message: 'the new task is watched', until: NOW + 5_000 }],
    later: 2,
  };
}
