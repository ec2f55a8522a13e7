/** What is told of a machine's own networks, and what is said where ours hide them. */
import { expect, test } from 'vitest';

import { networksOfRoutes } from '../src/apply/host-networks.ts';
import { overlapFindings } from '../src/check-overlaps.ts';

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

test.each([
  ['none of ours', ['192.168.1.0/24', '10.77.0.0/24'], []],
  ['around ours, which are found first', ['10.0.0.0/8', '100.64.0.0/10'], []],
  [
    'inside of a network',
    ['10.1.2.64/26'],
    ['10.1.2.64/26 is a part of 10.1.2.0/24 of network "back": containers on it do not reach it'],
  ],
  ['inside of a wire of the hosts that containers are on', ['10.9.0.0/24'], []],
  [
    'inside of what a node gives its containers',
    ['100.64.5.0/24', '192.168.1.0/24'],
    ['100.64.5.0/24 is a part of 100.64.4.0/23 of node n2: published ports here do not lead there'],
  ],
])('a machine with networks %s', (_, own, expected) => {
  const network = (name: string, subnet: string, driver: 'overlay' | 'macvlan') => ({
    subnet,
    spec: { name, driver, moreSubnets: [] },
  });
  const state = {
    networks: [
      network('front', '10.1.1.0/24', 'overlay'),
      network('back', '10.1.2.0/24', 'overlay'),
      network('wire', '10.9.0.0/24', 'macvlan'),
    ],
    peers: [{ nodeId: 'n2', gatewaySubnet: '100.64.4.0/23' }],
  };
  const details = overlapFindings(state, own).flatMap((one) => one.details);
  expect(details.filter((line) => !line.startsWith('give'))).toEqual(expected);
  expect(details.length > 0).toBe(expected.length > 0);
});
