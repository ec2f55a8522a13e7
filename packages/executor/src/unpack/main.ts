/**
 * The unpacking process: fetches, checks and unpacks layers, so that neither decompression nor
 * garbage ever holds up the process that starts containers. Started by `Unpacker`; ends with it.
 */
import { errorCode, errorMessage } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import { fetchBlob } from './fetch-blob.ts';
import type { FromUnpacker, ToUnpacker, UnpackJob } from './protocol.ts';
import { unpackLayer } from './unpack-layer.ts';

const running = new Map<number, AbortController>();

process.on('message', (message: ToUnpacker) => {
  if (message.kind === 'cancel') running.get(message.job)?.abort();
  else void work(message.job, message.unpack);
});
process.on('disconnect', () => {
  // The executor is gone; what is half unpacked is removed by its next life.
  process.exit(0);
});

async function work(job: number, unpack: UnpackJob): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  running.set(job, controller);
  try {
    const blob = fetchBlob(unpack.blob, { clock: systemClock, signal });
    const plainBytes = await unpackLayer(unpack.layer, {
      blob,
      directory: unpack.directory,
      signal,
    });
    send({ kind: 'done', job, plainBytes });
  } catch (error) {
    send({ kind: 'failed', job, code: errorCode(error), message: errorMessage(error) });
  } finally {
    running.delete(job);
  }
}

function send(message: FromUnpacker): void {
  process.send?.(message);
}
