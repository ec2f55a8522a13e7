import type { Call, PeerIdentity } from '@swarmd/api';
import { asId, clusterSpec } from '@swarmd/model';
import { createMemoryStore } from '@swarmd/store/testing';
import { beforeAll, describe, expect, it } from 'vitest';

import { forKnownManagers } from '../src/net/known-managers.ts';
import { aNode } from './support/objects.ts';

const NEW = { version: 0, createdAt: 0, updatedAt: 0 };
const manager = { labels: {}, role: 'manager', availability: 'active' } as const;
const { signal } = new AbortController();

function certificate(nodeId: string): PeerIdentity {
  return { nodeId: asId('node', nodeId), role: 'manager', clusterId: asId('cluster', 'c') };
}

describe('services for managers', () => {
  const store = createMemoryStore();
  const service = forKnownManagers(
    { hello: (name: string, _call: Call) => Promise.resolve(`hello ${name}`) },
    store.view,
  );
  beforeAll(() =>
    store.update((tx) => {
      tx.put('node', aNode('m', { meta: NEW, spec: manager }));
      tx.put('node', aNode('demoted', { meta: NEW }));
      tx.put('cluster', {
        id: asId('cluster', 'c'),
        meta: NEW,
        spec: clusterSpec.parse({}),
        rootCa: { certificatePem: '', keyPem: '', joinTokens: { worker: '', manager: '' } },
        removedManagers: [asId('node', 'removed')],
      });
    }, signal),
  );

  const passing: [string, Partial<Call>][] = [
    ['a local user', { local: true }],
    ['a manager', { peer: certificate('m') }],
    ['a local user at another manager', { local: true, forwardedBy: certificate('m') }],
  ];
  it.each(passing)('answer %s', async (_who, call) => {
    expect(await service.hello('you', { signal, ...call })).toBe('hello you');
  });

  const refused: [string, Partial<Call>, string][] = [
    ['one that was demoted', { peer: certificate('demoted') }, 'permission-denied'],
    ['one that was removed', { peer: certificate('removed') }, 'permission-denied'],
    ['one that may be too new', { peer: certificate('unknown') }, 'unavailable'],
    [
      'who passes on but was demoted',
      { local: true, forwardedBy: certificate('demoted') },
      'permission-denied',
    ],
  ];
  it.each(refused)('refuse %s', (_who, call, code) => {
    expect(() => service.hello('you', { signal, ...call })).toThrow(
      expect.objectContaining({ code }),
    );
  });
});
