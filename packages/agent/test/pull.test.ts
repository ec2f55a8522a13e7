/** Whose credentials a task's image is pulled with, and how its progress is told. */
import { asId, formatRegistryAuth, type LayerProgress } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { pullWithProgress } from '../src/pull-stream.ts';
import { pullMessage } from '../src/task/pull-message.ts';
import { registryAuthOf } from '../src/task/registry-auth.ts';
import { aTask } from './support/tasks.ts';
import { systemClock } from '@swarmd/base/system';

const layer = (state: LayerProgress['state'], bytes: number): LayerProgress => ({
  digest: 'sha256:x',
  state,
  bytes,
  totalBytes: 60e6,
});

describe('pulling', () => {
  it.each<[readonly LayerProgress[] | undefined, string | undefined]>([
    [undefined, undefined],
    [[], undefined],
    [[layer('present', 60e6)], undefined],
    [[layer('present', 60e6), layer('waiting', 0)], 'pulling 60 of 120 MB'],
    [[layer('fetching', 34.4e6), layer('waiting', 0)], 'pulling 34 of 120 MB'],
  ])('says %j as %s', (layers, message) => {
    expect(pullMessage(layers)).toBe(message);
  });

  it('takes the credentials of the secret that the task names', () => {
    const auth = { reg: { username: 'ann', password: 'pass', identityToken: '' } };
    const task = aTask();
    const named = (registrySecret: string) => ({
      ...task,
      spec: { ...task.spec, container: { ...task.spec.container, registrySecret } },
    });
    const secret = (data: Uint8Array) => ({
      tasks: [],
      configs: [],
      secrets: [{ id: asId('secret', 's1'), version: 1, data, templated: false }],
    });
    expect(registryAuthOf(task, secret(formatRegistryAuth(auth)))).toBeUndefined();
    expect(registryAuthOf(named('s1'), secret(formatRegistryAuth(auth)))).toEqual(auth);
    expect(() => registryAuthOf(named('s2'), secret(formatRegistryAuth(auth)))).toThrow(
      'has not reached this node yet',
    );
    expect(() => registryAuthOf(named('s1'), secret(new Uint8Array()))).toThrow('not JSON');
  });

  it('tells how far it is until the image is there, and ends with whoever watches', async () => {
    const pulled = Promise.withResolvers<void>();
    let signal: AbortSignal | undefined;
    let layers: readonly LayerProgress[] | undefined = [layer('fetching', 1)];
    const image = { reference: 'r', digest: 'd', id: 'i', bytes: 1, pulledAt: 1, usedAt: 1 };
    const executor = {
      pull: (_image: string, pull: AbortSignal): Promise<void> => {
        signal = pull;
        pull.addEventListener('abort', () => pulled.reject(new Error('given up')));
        return pulled.promise;
      },
      images: {
        pullProgress: () => layers,
        inspect: async () => ({ ...image, used: false }),
      } as never,
    };
    const events: string[] = [];
    const on = { executor, clock: systemClock };
    const { signal: never } = new AbortController();
    for await (const event of pullWithProgress({ reference: 'r' }, on, never)) {
      events.push(event.kind);
      layers = undefined;
      pulled.resolve();
    }
    expect(events).toEqual(['progress', 'image']);
    layers = [layer('fetching', 1)];
    for await (const _event of pullWithProgress({ reference: 'r' }, on, never)) break;
    expect(signal?.aborted).toBe(true);
  });
});
