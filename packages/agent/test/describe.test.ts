import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { globalAddresses6, ownInterfaces } from '../src/describe.ts';

test('IPv6 addresses of this machine: none of ours, none that others cannot reach', () => {
  const on = (address: string, internal = false) => ({
    address,
    internal,
    family: 'IPv6' as const,
    netmask: '',
    mac: '',
    cidr: null,
    scopeid: 0,
  });
  const interfaces = {
    lo: [on('::1', true), on('fd53:7764:0:1000::6440:201', true)],
    eth0: [on('2001:db8::2'), on('fe80::1'), on('2001:db8::1'), on('2001:db8::2')],
    eth1: [{ ...on('10.0.0.1'), family: 'IPv4' as const }],
    ing0: [on('fd53:7764:0:1000::aff:1')],
  };
  expect(globalAddresses6(interfaces)).toEqual(['2001:db8::1', '2001:db8::2']);
});

test('interfaces of this machine: neither those of containers nor ports of bridges', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'swarmd-interfaces-'));
  try {
    const names = [
      'lo',
      'eth1',
      'eth0',
      'bond0',
      'swgabc',
      'ing0',
      'veth12ab',
      'eth9',
      'eth9/master',
    ];
    for (const name of names) await mkdir(join(folder, name));
    expect(ownInterfaces(folder).map(({ name }) => name)).toEqual(['bond0', 'eth0', 'eth1']);
    expect(ownInterfaces(join(folder, 'missing'))).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
