/** What a container gets that uses the host's own interfaces. */
import type { Task } from '@swarmd/model';

import { runSteps } from './apply/kernel.ts';
import { readResolvConf } from './apply/resolv-conf.ts';
import { HOST_NETNS } from './desired/names.ts';
import { foreignResolver } from './desired/resolver.ts';
import type { NetworkAttachment } from './types.ts';

export async function attachToHost(task: Task): Promise<NetworkAttachment> {
  await runSteps([{ kind: 'name-host-netns', name: HOST_NETNS }]);
  const resolver = foreignResolver(task, await readResolvConf());
  return { namespace: `/run/netns/${HOST_NETNS}`, addresses: [], resolver };
}
