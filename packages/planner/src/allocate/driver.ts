/** What a network's driver makes of it, as far as the managers decide that. */
import type { Network, NetworkSpec } from '@swarmd/model';

import { refused, type Allocated } from './result.ts';

/** True when tasks and services get addresses of the network. */
export function givesAddresses({ spec }: Pick<Network, 'spec'>): boolean {
  return spec.driver !== 'host' && spec.driver !== 'none';
}

/** Options that a driver knows, and what their values may be. */
const OPTIONS: Readonly<Record<NetworkSpec['driver'], Readonly<Record<string, RegExp>>>> = {
  overlay: { encrypted: /^(true|false|)$/ },
  bridge: {},
  host: {},
  none: {},
  macvlan: { parent: /^[^\s/]{1,15}$/, macvlan_mode: /^(bridge|private|vepa)$/ },
};

/** RFC 791 and RFC 8200: what every link must carry; the kernel gives up the family below it. */
const LEAST_MTU = { ip: 68, ip6: 1_280 } as const;

/** A refusal when the spec says what its driver has no use for. */
export function unfitForDriver(spec: NetworkSpec): Allocated<never> | undefined {
  const known = OPTIONS[spec.driver];
  for (const [key, value] of Object.entries(spec.options)) {
    const form = known[key];
    if (form === undefined) return unknownOption(spec.driver, key);
    if (!form.test(value)) {
      return refused('invalid-argument', `"${value}" is no value of option ${key}`);
    }
  }
  const least = LEAST_MTU[spec.ipv6 ? 'ip6' : 'ip'];
  if (spec.mtu !== 0 && spec.mtu < least) {
    const family = spec.ipv6 ? 'IPv6' : 'IPv4';
    return refused('invalid-argument', `${family} needs an MTU of at least ${least} bytes`);
  }
  if (spec.ipv6 && spec.driver !== 'overlay' && spec.driver !== 'bridge') {
    return refused(
      'invalid-argument',
      `driver ${spec.driver} gives no IPv6 addresses: leave out ipv6`,
    );
  }
  if (spec.driver === 'macvlan') return unfitForMacvlan(spec);
  if (givesAddresses({ spec })) return undefined;
  const said = [
    ['subnet', spec.subnet !== ''],
    ['gateway', spec.gateway !== ''],
    ['range', spec.ipRange !== ''],
    ['reserved addresses', Object.keys(spec.reserved).length > 0],
    ['further subnets', spec.moreSubnets.length > 0],
    ['MTU', spec.mtu !== 0],
    ['internal', spec.internal],
  ] as const;
  const found = said.find(([, is]) => is);
  return found === undefined
    ? undefined
    : refused('invalid-argument', `driver ${spec.driver} has no addresses: leave out ${found[0]}`);
}

function unknownOption(driver: NetworkSpec['driver'], key: string): Allocated<never> {
  const known = Object.keys(OPTIONS[driver]);
  const hint = known.length === 0 ? 'it has none' : `it knows ${known.join(', ')}`;
  return refused('invalid-argument', `driver ${driver} has no option "${key}"; ${hint}`);
}

function unfitForMacvlan(spec: NetworkSpec): Allocated<never> | undefined {
  if (spec.options['parent'] === undefined) {
    return refused(
      'invalid-argument',
      'driver macvlan needs the interface of the nodes that containers appear on: --opt parent=eth0',
    );
  }
  if (spec.subnet === '') {
    return refused(
      'invalid-argument',
      'driver macvlan needs the subnet of the wire it is on: --subnet, and --ip-range for a part that nobody else gives out',
    );
  }
  return undefined;
}
