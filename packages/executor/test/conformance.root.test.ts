import { describe, expect, it } from 'vitest';

import {
  failuresInside,
  INSIDE_TIMEOUT_MS,
  isInside,
  PrivateMachine,
} from './fixtures/private-machine.ts';
import { executorConformance, type Harness, type Program } from './conformance.ts';

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

describe.runIf(isInside)('real containers', () => {
  executorConformance('crun under conmon', async (): Promise<Harness> => {
    const machine = await PrivateMachine.make();
    let executor = await machine.executor();
    return {
      get executor() {
        return executor;
      },
      image: machine.image,
      missingImage: `${machine.registry.host}/missing:1`,
      request: (id, program) =>
        machine.request(id, { command: ['/bin/sh', '-c', script(program)] }),
      reopen: async () => {
        await executor[Symbol.asyncDispose]();
        executor = await machine.executor();
      },
      [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
    };
  });
});

function script(program: Program): string {
  switch (program.kind) {
    case 'exit':
      return `exit ${program.code}`;
    case 'print':
      return program.lines.map((line, index) => `echo ${line} >&${(index % 2) + 1}`).join('; ');
    case 'graceful':
      return `trap 'exit ${program.code}' TERM; echo ready; while :; do usleep 10000; done`;
    case 'stubborn':
      return `trap '' TERM; echo ready; while :; do usleep 10000; done`;
    case 'forever':
      return 'exec sleep 1000';
    default:
      return program satisfies never;
  }
}
