/** What the hosts know of connections that came to nothing, for whoever reads a failed test. */
import type { Host } from '@swarmd/lab';

import { ctl, lab } from '../support.ts';

/** Connections that were begun and not made, on the hosts themselves; how the network is; where tasks are. */
export async function evidence(service: string): Promise<string> {
  const begun = lab.nodes.map(async (host) => `${host.name}:\n${await halfMade(host)}`);
  const doctor = await ctl('m1', 'doctor', 'network');
  const ps = await ctl('m1', 'service', 'ps', service);
  return [...(await Promise.all(begun)), doctor.stdout, ps.stdout].join('\n');
}

async function halfMade(host: Host): Promise<string> {
  const script = 'conntrack -L -p tcp 2>/dev/null | grep -E "SYN_|UNREPLIED" | head -20';
  return (await host.exec(['sh', '-c', script], { okCodes: [0, 1] })).stdout;
}
