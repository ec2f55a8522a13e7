/** What the nodes of the texts' cluster know of images and registries. */
import { SwarmError } from '@swarmd/base';
import type { ClusterClient } from '@swarmd/client';
import { parseRegistryAuth } from '@swarmd/model';

import { NOW } from './world.ts';

/** @param sent prints what a node was told. */
export function fakeImages(
  sent: (what: string, request: unknown) => void,
): Partial<ClusterClient['engine']> {
  return {
    // Its registry is down for images of "lost", and knows a digest of those of "team".
    resolveImage: async ({ reference }) => {
      if (reference.startsWith('lost/')) throw new SwarmError('unavailable', 'registry is down');
      const digest = `@sha256:${'d'.repeat(64)}`;
      return { reference: reference.startsWith('team/') ? `${reference}${digest}` : reference };
    },
    async *pullImage({ nodeId: _node, ...request }) {
      sent('pullImage', {
        ...request,
        registryAuth: Buffer.from(request.registryAuth ?? '').toString(),
      });
      const digest = `sha256:${'e'.repeat(64)}`;
      const layer = { digest, totalBytes: 120e6 };
      yield { kind: 'progress', layers: [{ ...layer, state: 'fetching', bytes: 34e6 }] };
      yield { kind: 'progress', layers: [{ ...layer, state: 'present', bytes: 120e6 }] };
      const { reference } = request;
      const times = { pulledAt: NOW, usedAt: NOW };
      yield { kind: 'image', reference, digest, id: digest, bytes: 300e6, ...times, used: false };
    },
    inspectImage: async ({ reference }) => {
      const digest = `sha256:${'e'.repeat(64)}`;
      const times = { pulledAt: NOW, usedAt: NOW };
      const image = { reference, digest, id: digest, bytes: 300e6, ...times, used: false };
      const history = [
        { created: '2026-01-01T00:00:00Z', created_by: 'ADD rootfs', comment: 'base' },
        { created: '2026-01-01T00:00:01Z', created_by: 'CMD ["sh"]', empty_layer: true },
      ];
      const config = JSON.stringify({ architecture: 'amd64', history });
      const layers = [
        { digest, bytes: 100e6 },
        { digest, bytes: 20e6 },
      ];
      return { image, names: [reference, 'other:1'], config, layers };
    },
    async *pushImage({ nodeId: _node, reference }) {
      sent('pushImage', reference);
      const layer = { digest: `sha256:${'e'.repeat(64)}`, totalBytes: 120e6, bytes: 120e6 };
      yield { layers: [{ ...layer, state: 'present' }] };
    },
    async *saveImages({ references }) {
      yield Buffer.from(`archive of ${references.join(' and ')}\n`);
    },
    async *loadImages(messages) {
      for await (const message of messages) sent('loadImages', message);
      yield { references: ['docker.io/library/nginx:1'] };
    },
    // Only what comes of a file is right.
    checkRegistryAuth: async ({ registry, registryAuth }) => {
      const auth = parseRegistryAuth(registryAuth);
      if (!(auth instanceof Error) && auth[registry]?.password.startsWith('content')) return;
      throw new SwarmError('permission-denied', `registry ${registry} answered HTTP 401`);
    },
  };
}
