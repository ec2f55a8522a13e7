import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger } from '@swarmd/base';
import type { AssignmentSet } from '@swarmd/model';
import { asId } from '@swarmd/model';
import { expect, test } from 'vitest';

import { AgentState } from '../src/disk/agent-state.ts';

const secret = new Uint8Array(32).fill(7);
const self = {
  nodeId: asId('node', 'n1'),
  index: 1,
  address: '10.99.0.1',
  ingressAddress: '10.255.0.1',
  gatewaySubnet: '100.64.1.0/24',
  addresses6: [],
  down: false,
};
const lists = { peers: [], nodes: [], networks: [], endpoints: [], vips: [], ports: [] };
const keys = [{ id: 1, secret, createdAt: 0 }];
const set: AssignmentSet = {
  tasks: [],
  configs: [],
  secrets: [{ id: asId('secret', 's1'), version: 1, data: secret, templated: false }],
  network: {
    self,
    vxlanPort: 4_789,
    ...lists,
    encryptsMesh: true,
    encryption: { keys, primary: 1, peers: [] },
  },
};

test('secrets and keys of networks are remembered on memory only', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'swarmd-agent-state-'));
  try {
    const directories = { stateDir: join(folder, 'disk'), runDir: join(folder, 'memory') };
    await new AgentState(directories, silentLogger).saveAssignment(set);
    const onDisk = await readFile(join(folder, 'disk/agent/assignment.json'), 'utf8');
    expect(onDisk).toContain('10.99.0.1');
    expect(onDisk).not.toMatch(/secret|encryption"|BwcHBwcH/);
    expect(await new AgentState(directories, silentLogger).loadAssignment()).toEqual(set);
    // After a boot.
    await rm(directories.runDir, { recursive: true });
    const later = await new AgentState(directories, silentLogger).loadAssignment();
    expect(later.secrets).toEqual([]);
    // It must not send in clear what it sent encrypted before.
    expect(later.network).toEqual({ self, vxlanPort: 4_789, ...lists, encryptsMesh: true });
    // Without encrypted networks no key stays.
    const state = new AgentState(directories, silentLogger);
    await state.saveAssignment(set);
    await state.saveAssignment({ ...set, network: { self, vxlanPort: 4_789, ...lists } });
    expect(await readFile(join(folder, 'memory/agent/encryption.json'), 'utf8')).toBe('{}');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
