import { expect, test } from 'vitest';

import { networksOfRoutes } from '../src/describe.ts';

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
