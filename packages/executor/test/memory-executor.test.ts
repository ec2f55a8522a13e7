import { systemClock } from '@swarmd/base/system';

import type { SessionEvent, SessionInput } from '../src/index.ts';
import { createMemoryExecutor, MemoryExecutor, type MemoryProcess } from '../src/testing.ts';
import { executorConformance, type Harness, type Program } from './conformance.ts';
import { containerRequest } from './fixtures/request.ts';

const IMAGE = 'test/busybox:1';

executorConformance('in memory', async (): Promise<Harness> => {
  const programs = new Map<string, Program>();
  let executor = createMemoryExecutor({
    clock: systemClock,
    images: [IMAGE],
    behaviour: (process) => act(process, programs.get(process.request.id)),
    exec: () => ({ code: 5, output: 'out\n' }),
    session: (_id, _start, input) => echo(input),
  });
  return {
    get executor() {
      return executor;
    },
    image: IMAGE,
    missingImage: 'test/missing:1',
    request: (id, program) => {
      programs.set(id, program);
      return containerRequest(id, { image: IMAGE });
    },
    reopen: async () => {
      executor = new MemoryExecutor(executor.machine);
    },
    [Symbol.asyncDispose]: () => executor[Symbol.asyncDispose](),
  };
});

async function* echo(input: AsyncIterable<SessionInput>): AsyncGenerator<SessionEvent> {
  for await (const message of input) {
    if (message.kind === 'stdin-end') break;
    if (message.kind === 'stdin') yield { kind: 'output', stream: 'stdout', data: message.data };
  }
  yield { kind: 'output', stream: 'stderr', data: Buffer.from('end\n') };
  yield { kind: 'exit', code: 7 };
}

function act(process: MemoryProcess, program: Program | undefined): void {
  switch (program?.kind) {
    case 'exit':
      process.exit(program.code);
      break;
    case 'print':
      program.lines.forEach((line, index) =>
        process.print(index % 2 === 0 ? 'stdout' : 'stderr', line),
      );
      process.exit(0);
      break;
    case 'graceful':
      process.onSignal(() => process.exit(program.code));
      process.print('stdout', 'ready');
      break;
    case 'stubborn':
      process.onSignal(() => undefined);
      process.print('stdout', 'ready');
      break;
    case 'forever':
    case undefined:
      process.onSignal(() => undefined);
      break;
    default:
      program satisfies never;
  }
}
