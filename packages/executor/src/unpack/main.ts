/**
 * The unpacking process: fetches, checks and unpacks layers, so that neither decompression nor
 * garbage ever holds up the process that starts containers. Started by `Unpacker`; ends with it.
 */
import { createReadStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';

import { errorCode, errorMessage } from '@swarmd/base';
import { systemClock, systemRandom } from '@swarmd/base/system';

import { PROGRESS_INTERVAL_MS } from '../limits.ts';
import { fetchBlob } from './fetch-blob.ts';
import { forgetPartial, resumedBlob } from './partial-blob.ts';
import type { FromUnpacker, ToUnpacker, UnpackJob } from './protocol.ts';
import { unpackLayer } from './unpack-layer.ts';

const running = new Map<number, AbortController>();
const jobs = new Set<Promise<void>>();

process.on('message', (message: ToUnpacker) => {
  if (message.kind === 'cancel') running.get(message.job)?.abort();
  else begin(message.job, message.unpack);
});
process.on('disconnect', () => {
  // The executor is gone, and its next life may have looked for what is half unpacked already.
  for (const controller of running.values()) controller.abort();
  void Promise.allSettled(jobs).then(() => process.exit(0));
});

function begin(job: number, unpack: UnpackJob): void {
  const done = work(job, unpack).finally(() => jobs.delete(done));
  jobs.add(done);
}

async function work(job: number, unpack: UnpackJob): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  running.set(job, controller);
  const { layer, partial, keepAt, directory } = unpack;
  try {
    const { sizeBytes } = layer;
    const common = { sizeBytes, clock: systemClock, random: systemRandom, signal };
    const source = unpack.blob;
    const blob =
      'path' in source
        ? createReadStream(source.path)
        : resumedBlob({
            path: partial,
            sizeBytes,
            fetch: (from) => fetchBlob(source, { ...common, from }),
            onBytes: throttledProgress(job),
          });
    const unpacked = await unpackLayer(layer, { blob, directory, signal });
    if (!('path' in source)) await rename(partial, keepAt);
    if (!process.connected) await rm(directory, { recursive: true, force: true });
    send({ kind: 'done', job, unpacked });
  } catch (error) {
    // Wrong bytes stay wrong; a full disk needs every byte it can get back.
    if (['data-loss', 'resource-exhausted', 'permission-denied'].includes(errorCode(error)))
      await forgetPartial(partial);
    send({ kind: 'failed', job, code: errorCode(error), message: errorMessage(error) });
  } finally {
    running.delete(job);
  }
}

function throttledProgress(job: number): (bytes: number) => void {
  let saidAt = Number.NEGATIVE_INFINITY;
  return (bytes) => {
    const now = systemClock.monotonic();
    if (now - saidAt < PROGRESS_INTERVAL_MS) return;
    saidAt = now;
    send({ kind: 'progress', job, bytes });
  };
}

function send(message: FromUnpacker): void {
  // Nobody is left to be told, or will be before the message is there.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
