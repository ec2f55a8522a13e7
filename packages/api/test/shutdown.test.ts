/** What calls see of a server that stops. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SwarmError } from '@swarmd/base';
import { afterEach, beforeEach, expect, it } from 'vitest';

import {
  connect,
  createControlClient,
  createDispatcherClient,
  createLocalServer,
  serveControl,
  serveDispatcher,
  type AgentMessage,
  type Call,
  type Control,
} from '../src/index.ts';
import { partial } from './support/identities.ts';

let path: string;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'swarmd-api-'));
  path = join(folder, 'control.sock');
  stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true }));
});
afterEach(() => stack.disposeAsync());

const call: Call = { signal: new AbortController().signal };
const aborts = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error)),
  );

async function* oneHeartbeat(): AsyncGenerator<AgentMessage> {
  yield await Promise.resolve({ kind: 'heartbeat' });
}

it('a stream is told at once', async () => {
  const server = await createLocalServer({ path });
  serveDispatcher(server, {
    async *session(_, { signal }) {
      yield { kind: 'heartbeat' };
      await aborts(signal);
    },
  });
  const channel = stack.use(connect({ socketPath: path }));
  let stopped: PromiseLike<void> | undefined;
  await expect(async () => {
    for await (const _ of createDispatcherClient(channel).session(oneHeartbeat(), call)) {
      stopped = server[Symbol.asyncDispose]();
    }
  }).rejects.toMatchObject({ code: 'unavailable' });
  await stopped;
});

async function stopDuring(
  work: (signal: AbortSignal) => Promise<void>,
): Promise<{ answer: Promise<void>; stopped: PromiseLike<void> }> {
  const server = await createLocalServer({ path });
  const arrived = Promise.withResolvers<void>();
  const removeService: Control['removeService'] = (_request, { signal }) => {
    arrived.resolve();
    return work(signal);
  };
  serveControl(server, partial<Control>({ removeService }));
  const control = createControlClient(stack.use(connect({ socketPath: path })));
  const answer = control.removeService({ id: 's1' as never }, call);
  answer.catch(() => undefined); // Looked at below.
  await arrived.promise;
  return { answer, stopped: server[Symbol.asyncDispose]() };
}

it('another call may still answer', async () => {
  const work = Promise.withResolvers<void>();
  const { answer, stopped } = await stopDuring(() => work.promise);
  work.reject(new SwarmError('not-found', 'no such service'));
  await expect(answer).rejects.toMatchObject({ code: 'not-found' });
  await stopped;
});

it('one that does not is told why it ends', async () => {
  const { answer, stopped } = await stopDuring(aborts);
  await expect(answer).rejects.toMatchObject({ message: expect.stringContaining('stopping') });
  await stopped;
});
