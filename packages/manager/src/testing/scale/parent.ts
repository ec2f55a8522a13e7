/** A child process of the benchmark answers its parent's requests, and ends with it. */
import { errorMessage } from '@swarmd/base';

import type { ScaleAnswer } from './protocol.ts';

export function serveParent<Request>(
  answer: (request: Request) => ScaleAnswer | Promise<ScaleAnswer>,
  end: () => Promise<void>,
): void {
  const reply = async (request: Request): Promise<void> => {
    try {
      process.send?.(await answer(request));
    } catch (error) {
      process.send?.({ kind: 'failed', error: errorMessage(error) });
    }
  };
  process.on('message', (request) => void reply(request as Request));
  process.on('disconnect', () => void end().finally(() => process.exit()));
}
