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
    listImages: async () => {
      const image = (
        reference: string,
        id: string,
        words: { used?: boolean; minutes?: number },
      ) => {
        const [digest, at] = [`sha256:${id.repeat(64)}`, NOW - (words.minutes ?? 0) * 60_000];
        const times = { pulledAt: at, usedAt: at };
        return { reference, digest, id: digest, bytes: 120e6, ...times, used: words.used ?? false };
      };
      return [
        image('busy:1', 'a', { used: true, minutes: 90 }),
        image('fresh:1', 'b', {}),
        image('old:1', 'c', { minutes: 90 }),
        image('spare:1', 'a', { minutes: 5 }),
        ...['d', 'e'].map((id) => {
          return image(`docker.io/team/app@sha256:${id.repeat(64)}`, id, { used: true });
        }),
      ];
    },
    removeImage: async ({ reference }) => {
      requirePresent(reference);
      sent('removeImage', reference);
      return { freedBytes: 120e6 };
    },
    tagImage: async ({ reference, target }) => {
      requirePresent(reference);
      sent('tagImage', `${reference} ${target}`);
    },
    listVolumes: async () =>
      ['data', 'cache', 'spool'].map((name) => ({
        name,
        driver: 'local',
        options: {},
        labels: {},
        createdAt: NOW,
        mountpoint: `/volumes/${name}`,
        used: name === 'data',
      })),
    removeVolume: async ({ name }) => sent('removeVolume', name),
    inspectImage: async ({ reference }) => {
      requirePresent(reference);
      const digest = `sha256:${'e'.repeat(64)}`;
      const times = { pulledAt: NOW, usedAt: NOW };
      const used = reference === 'busy:1';
      const image = { reference, digest, id: digest, bytes: 300e6, ...times, used };
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

/** What is pulled for services is here by its digest alone. */
function requirePresent(reference: string): void {
  const isPresent = /@sha256:(d+|e+)$/.test(reference) || !/^absent|\bteam\//.test(reference);
  if (isPresent) return;
  throw new SwarmError('not-found', `no image ${reference} on this node`);
}
