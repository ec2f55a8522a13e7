/** A child process of the benchmark answers its parent's requests, and ends with it. */
import { errorMessage } from '@swarmd/base';

import type { ScaleAnswer } from './protocol.ts';

export function serveParent(
  answer: (request: unknown) => Promise<ScaleAnswer>,
  end: () => Promise<void>,
): void {
  const reply = async (request: unknown): Promise<void> => {
    try {
      process.send?.(await answer(request));
    } catch (error) {
      process.send?.({ kind: 'failed', error: errorMessage(error) });
    }
  };
  process.on('message', (request) => void reply(request));
  process.on('disconnect', () => void end().finally(() => process.exit()));
}
