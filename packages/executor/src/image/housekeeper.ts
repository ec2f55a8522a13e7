/** Cleans up images by itself, now and then: looks, lets `planCleanUp` decide, does it, and says why. */
import { statfs } from 'node:fs/promises';

import { errorMessage, sleep, type Clock, type Logger } from '@swarmd/base';

import { CLEAN_UP_INTERVAL_MS, TOUCH_INTERVAL_MS } from '../limits.ts';
import { planCleanUp, type CleanUpPolicy } from './clean-up.ts';
import type { ImageService } from './image-service.ts';
import type { ImageStore } from './store.ts';

export interface HousekeeperOptions {
  readonly store: ImageStore;
  readonly images: Pick<ImageService, 'listNow' | 'drop'>;
  readonly policy: CleanUpPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Housekeeper {
  readonly #options: HousekeeperOptions;

  constructor(options: HousekeeperOptions) {
    this.#options = options;
  }

  /** Until the signal. A round that fails is told of and followed by the next. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      await sleep(clock, CLEAN_UP_INTERVAL_MS, signal);
      try {
        await this.round();
      } catch (error) {
        logger.warn({ error: errorMessage(error) }, 'images could not be cleaned up');
      }
    }
  }

  async round(): Promise<void> {
    const { store, images, policy, clock, logger } = this.#options;
    const now = clock.now();
    // An image is used for as long as a container is made of it, not only when it was made.
    for (const { reference, used, usedAt } of images.listNow()) {
      if (used && now - usedAt > TOUCH_INTERVAL_MS) await store.touch(reference, now);
    }
    const disk = await diskOf(store.layersDir);
    const blobBytes = await store.looseBlobBytes();
    // From here to `drop` nothing waits: who is used cannot change in between.
    const candidates = images.listNow().map((image) => ({
      ...image,
      usedAt: Math.max(image.usedAt, image.pulledAt),
    }));
    const plan = planCleanUp({ now, disk, blobBytes, images: candidates }, policy);
    if (plan.images.length > 0) {
      const freedBytes = await images.drop(plan.images.map(({ reference }) => reference));
      for (const { reference, reason } of plan.images) {
        logger.info({ image: reference, reason }, 'removed an image');
      }
      logger.info({ images: plan.images.length, freedBytes }, 'cleaned up images');
    }
    if (plan.blobsReason !== undefined) {
      const freedBytes = await store.dropLooseBlobs();
      logger.info(
        { freedBytes, reason: plan.blobsReason },
        'removed blobs of layers; images that are pushed or saved have to be pulled again first',
      );
    }
  }
}

/** As df counts: what only root may use is not there. */
async function diskOf(path: string): Promise<{ totalBytes: number; usedBytes: number }> {
  const { bsize, blocks, bfree, bavail } = await statfs(path);
  const used = blocks - bfree;
  return { totalBytes: (used + bavail) * bsize, usedBytes: used * bsize };
}
