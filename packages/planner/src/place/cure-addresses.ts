/** Networks without a free address: each gets one more subnet of the cluster's pool. */
import { formatIpv4Network, type Network } from '@swarmd/model';

import { freeSubnet } from '../allocate/subnet.ts';
import type { PlanView } from '../types.ts';

/** Undefined: no commands do it. */
export function cureAddresses(
  view: Pick<PlanView, 'list'>,
  full: readonly Network[],
): string[] | undefined {
  const given: string[] = [];
  const commands: string[] = [];
  for (const { spec } of full) {
    // One that is on a wire of the nodes has the addresses of that wire.
    if (spec.driver !== 'overlay' && spec.driver !== 'bridge') return undefined;
    const subnet = freeSubnet(view, given);
    if (subnet.kind === 'refused') return undefined;
    const text = formatIpv4Network(subnet.value);
    given.push(text);
    commands.push(`swarmctl network update --subnet-add ${text} ${spec.name}`);
  }
  return commands;
}
