/** swarm.v1.Control: one file an object; this one puts them together. */
import type { Control } from '@swarmd/api';

import { clusterControl } from './cluster.ts';
import { configControl } from './config.ts';
import { ControlContext, type ControlOptions } from './context.ts';
import { networkControl } from './network.ts';
import { nodeControl } from './node.ts';
import { previewControl } from './preview.ts';
import { secretControl } from './secret.ts';
import { serviceControl } from './service.ts';
import { taskControl } from './task.ts';

export function createControl(options: ControlOptions): Control {
  const context = new ControlContext(options);
  return {
    ...serviceControl(context),
    ...previewControl(context, options),
    ...taskControl(context),
    ...nodeControl(context),
    ...networkControl(context),
    ...secretControl(context),
    ...configControl(context),
    ...clusterControl(context),
  };
}
