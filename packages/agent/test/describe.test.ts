import { expect, test } from 'vitest';

import { globalAddresses6, networksOfRoutes } from '../src/describe.ts';

test('networks of this machine: no default route, none of ours, none that goes nowhere', () => {
  const routes = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    'docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    'ing0\t0200FF0A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0',
    'swgabc\t02024064\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0',
    '*\t00024064\t00000000\t0200\t0\t0\t0\t00FEFFFF\t0\t0\t0',
    '',
  ].join('\n');
  expect(networksOfRoutes(routes)).toEqual(['172.17.0.0/16', '192.168.1.0/24']);
});

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
