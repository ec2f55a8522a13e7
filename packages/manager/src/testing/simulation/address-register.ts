/** Who holds which address. An address has one holder, at every moment. */
import type { Service, Task } from '@swarmd/model';
import type { Commit } from '@swarmd/store';

import { isOver } from './rules.ts';

export class AddressRegister {
  readonly #holders = new Map<string, string>();

  /** What a commit gives back first, then what it takes: between them nobody looks. */
  apply(commit: Commit): string | undefined {
    const taken: [string, string][] = [];
    for (const { table, before, after } of commit.changes) {
      if (table !== 'task' && table !== 'service') continue;
      const had = addressesOf(before);
      const has = addressesOf(after);
      for (const [address, holder] of had) {
        if (this.#holders.get(address) === holder) this.#holders.delete(address);
      }
      taken.push(...has);
    }
    for (const [address, holder] of taken) {
      const other = this.#holders.get(address);
      if (other !== undefined && other !== holder) {
        return `address ${address} is held by ${other} and given to ${holder}`;
      }
      this.#holders.set(address, holder);
    }
    return undefined;
  }
}

function addressesOf(object: Task | Service | undefined): [string, string][] {
  if (object === undefined) return [];
  if ('endpoint' in object) {
    return object.endpoint.virtualIps.map((vip) => [`${vip.networkId} ${vip.address}`, object.id]);
  }
  if (isOver(object) || object.nodeId === undefined) return [];
  const held = object.networks.map((one) => `${one.networkId} ${one.address.split('/')[0]}`);
  if (object.gatewayAddress !== undefined) held.push(`gateway ${object.gatewayAddress}`);
  return held.map((address) => [address, object.id]);
}
