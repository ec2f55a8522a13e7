/** Whom containers ask for names: what their resolv.conf says, and whom our server asks for them. */
import { expect, test } from 'vitest';

import {
  foreignResolver,
  ownResolver,
  parseResolvConf,
  upstreamsOf,
} from '../src/desired/resolver.ts';
import { network, task } from './lab/cluster.ts';

const HOST = parseResolvConf(`# nameserver 1.1.1.1
domain old.example
search corp.example lab.example
nameserver 10.0.0.2
  nameserver\tfe80::1%eth0 
options edns0 timeout:1
`);

/** "nameservers; search; options; whom our server asks" */
function resolved(dns: object, which: typeof ownResolver): string {
  const placed = {
    id: 't',
    node: 1,
    service: 'web',
    slot: 1,
    host: 11,
    networks: [network('front', 4097)],
  };
  const one = { ...task(placed), spec: { container: { dns } } as never };
  const { nameservers, search, options } = which(one, HOST);
  const upstreams = upstreamsOf(one)?.join(' ') ?? "the host's";
  return [nameservers, search, options]
    .map((list) => list.join(' '))
    .concat(upstreams)
    .join('; ');
}

test('a resolv.conf', () => {
  expect(HOST).toEqual({
    nameservers: ['10.0.0.2', 'fe80::1%eth0'],
    search: ['corp.example', 'lab.example'],
    options: ['edns0', 'timeout:1'],
  });
});

test.each([
  [{}, "127.0.0.11; corp.example lab.example; ndots:0 edns0 timeout:1; the host's"],
  [{ search: ['a.org'] }, "127.0.0.11; a.org; ndots:0 edns0 timeout:1; the host's"],
  [{ search: ['.'] }, "127.0.0.11; ; ndots:0 edns0 timeout:1; the host's"],
  [{ options: ['ndots:2'] }, "127.0.0.11; corp.example lab.example; ndots:2; the host's"],
  [
    { nameservers: ['9.9.9.9', '2001:db8::1'] },
    '127.0.0.11; corp.example lab.example; ndots:0 edns0 timeout:1; 9.9.9.9 2001:db8::1',
  ],
  // On its own network: only the container itself reaches it.
  [
    { nameservers: ['10.0.1.5', '9.9.9.9'] },
    '127.0.0.11 10.0.1.5; corp.example lab.example; ndots:0 edns0 timeout:1; 9.9.9.9',
  ],
])('%j on networks of ours', (dns, expected) => {
  expect(resolved(dns, ownResolver)).toBe(expected);
});

test.each([
  [{}, "10.0.0.2 fe80::1%eth0; corp.example lab.example; edns0 timeout:1; the host's"],
  [
    { nameservers: ['9.9.9.9'], options: ['rotate'] },
    '9.9.9.9; corp.example lab.example; rotate; 9.9.9.9',
  ],
])('%j on the host itself', (dns, expected) => {
  expect(resolved(dns, foreignResolver)).toBe(expected);
});
