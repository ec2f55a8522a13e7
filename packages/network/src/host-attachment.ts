/** What a container gets that uses the host's own interfaces. */
import { readFile } from 'node:fs/promises';

import { runSteps } from './apply/kernel.ts';
import { HOST_NETNS } from './desired/names.ts';
import { nameserversOf } from './dns/forwarder.ts';
import type { NetworkAttachment } from './types.ts';

export async function attachToHost(): Promise<NetworkAttachment> {
  await runSteps([{ kind: 'name-host-netns', name: HOST_NETNS }]);
  const nameservers = nameserversOf(await readFile('/etc/resolv.conf', 'utf8'));
  return { namespace: `/run/netns/${HOST_NETNS}`, addresses: [], nameservers };
}
