import { describe, expect, it } from 'vitest';

import { asId, meetsConstraint, nodeSpec, parseConstraint, type Node } from '../src/index.ts';

const node: Node = {
  id: asId('node', 'n1'),
  meta: { version: 1, createdAt: 0, updatedAt: 0 },
  spec: nodeSpec.parse({
    role: 'worker',
    labels: { zone: 'East', 'disk.kind': 'ssd', ram: '64', odd: '1e3' },
  }),
  role: 'worker',
  index: 1,
  gatewaySubnet: '100.64.1.0/24',
  ingressAddress: '10.255.0.1',
  description: {
    hostname: 'Alpha',
    platform: { os: 'linux', architecture: 'x86_64' },
    resources: { nanoCpus: 1, memoryBytes: 1, generic: [] },
    engineVersion: '1',
    networks: [],
    addresses6: [],
    labels: { runtime: 'crun' },
  },
  status: { state: 'ready', message: '', address: '10.1.2.3', agentAddress: '', since: 0 },
};

function meets(text: string): boolean {
  const constraint = parseConstraint(text);
  if (typeof constraint === 'string') throw new Error(constraint);
  return meetsConstraint(node, constraint);
}

describe('placement constraints', () => {
  it.each([
    'node.id==n1',
    'node.id!=n2',
    'node.hostname==alpha',
    ' node.hostname == ALPHA ',
    'node.role==worker',
    'node.role!=manager',
    'node.platform.os==linux',
    'node.platform.arch==amd64',
    'node.platform.arch==x86_64',
    'node.ip==10.1.2.3',
    'node.ip==10.1.0.0/16',
    'node.ip!=10.2.0.0/16',
    'node.labels.zone==east',
    'Node.Labels.zone==east',
    'node.labels.disk.kind==ssd',
    'node.labels.missing==',
    'node.labels.missing!=east',
    'engine.labels.runtime==crun',
    'node.labels.zone in west, east',
    'node.labels.zone IN (east)',
    'node.labels.zone not in west,north',
    'node.labels.missing not in west',
    'node.labels.zone exists',
    'node.labels.missing not exists',
    'node.labels.ram > 16',
    'node.labels.ram<64.5',
    'node.id in n1,n2',
    'node.ip in 10.1.0.0/16,10.2.0.0/16',
  ])('holds: %s', (text) => expect(meets(text)).toBe(true));

  it.each([
    'node.hostname==alph',
    'node.role==manager',
    'node.ip==10.1.2.0/31',
    'node.labels.Zone==east',
    'node.labels.missing==east',
    'engine.labels.zone==east',
    'node.labels.zone in west,north',
    'node.labels.missing in west',
    'node.labels.zone not in east',
    'node.labels.missing exists',
    'node.labels.zone not exists',
    'node.labels.ram > 64',
    'node.labels.zone > 1',
    'node.labels.missing < 1',
    'node.labels.odd > 1',
  ])('does not hold: %s', (text) => expect(meets(text)).toBe(false));

  it.each([
    ['node.role', 'not of the form'],
    ['node.role=worker', 'not of the form'],
    ['==worker', 'not of the form'],
    ['node.rack==1', 'unknown key'],
    ['node.labels.==1', 'unknown key'],
    ['node.role==', 'has no value'],
    ['node.labels.a in ', 'has no value'],
    ['node.labels.a in b,,c', 'has no value'],
    ['node.labels.a > b', 'compares with "b", which is no number'],
    ['node.rack exists', 'unknown key'],
    ['node.labels.a is b', 'not of the form'],
  ])('WrongSyntax is refused with a reason: %s', (text, why) =>
    expect(parseConstraint(text)).toContain(why),
  );
});
