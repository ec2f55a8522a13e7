import { asId } from '@swarmd/model';
import { expect, test } from 'vitest';

import { logService } from '../src/log-service.ts';
import { LOG_BATCH_LINES_MAX, LOG_BUFFER_LINES_MAX } from '../src/limits.ts';
import type { LogLine } from '../src/ports.ts';
import { TestExecutor } from './support/machine.ts';
import { aTask } from './support/tasks.ts';
import { until } from './support/until.ts';

const OPTIONS = { follow: true };

/** An executor whose log is endless, and which counts what was taken from it. */
class Endless extends TestExecutor {
  taken = 0;
  ended = false;

  override async *logs(): AsyncIterable<LogLine> {
    await Promise.resolve();
    try {
      for (;;) {
        this.taken += 1;
        yield { stream: 'stdout', timestamp: this.taken, data: new Uint8Array(1) };
      }
    } finally {
      this.ended = true;
    }
  }
}

function service(
  executor: TestExecutor,
  container: () => Promise<boolean> = () => Promise.resolve(true),
) {
  return logService({
    nodeId: asId('node', 'n1'),
    executor,
    task: (id) => (id === 't1' ? { task: aTask(), container } : undefined),
  });
}

async function lines(
  from: ReturnType<typeof service>,
  id = 't1',
  follow = true,
): Promise<string[]> {
  const { signal } = new AbortController();
  const text: string[] = [];
  for await (const batch of from.taskLogs(
    { taskId: asId('task', id), options: { follow } },
    { signal },
  )) {
    for (const { stream, data, serviceId, nodeId } of batch) {
      text.push(`${serviceId}@${nodeId} ${stream} ${new TextDecoder().decode(data)}`);
    }
  }
  return text;
}

test('lines come with the task, its service and node', async () => {
  const executor = new TestExecutor();
  await executor.prepare({ id: 't1' } as Parameters<TestExecutor['prepare']>[0]);
  const line = (stream: LogLine['stream'], text: string): LogLine => {
    return { stream, timestamp: 1, data: new TextEncoder().encode(text) };
  };
  executor.get('t1').lines.push(line('stdout', 'hello'), line('stderr', 'oh'));
  expect(await lines(service(executor))).toEqual(['s1@n1 stdout hello', 's1@n1 stderr oh']);
});

test('a task of another node has none here', async () => {
  await expect(lines(service(new TestExecutor()), 'other')).rejects.toThrow('is not on this node');
});

test('a task that never gets a container has none; who does not follow does not wait', async () => {
  expect(await lines(service(new TestExecutor(), () => Promise.resolve(false)))).toEqual([]);
  const never = service(new TestExecutor(), () => Promise.reject(new Error('not yet')));
  expect(await lines(never, 't1', false)).toEqual([]);
});

test('errors of the log reach the reader', async () => {
  await expect(lines(service(new TestExecutor()))).rejects.toThrow('no container t1');
});

test('a slow reader stops the reading, and leaving ends it', async () => {
  const executor = new Endless();
  const call = new AbortController();
  const request = { taskId: asId('task', 't1'), options: OPTIONS };
  const batches = service(executor).taskLogs(request, { signal: call.signal });
  const reader = batches[Symbol.asyncIterator]();
  const first = await reader.next();
  await until('the buffer is full', () => executor.taken >= LOG_BUFFER_LINES_MAX);
  const bound = LOG_BUFFER_LINES_MAX + LOG_BATCH_LINES_MAX + 1;
  expect(executor.taken).toBeLessThanOrEqual(bound);
  expect((first.value as unknown[]).length).toBeLessThanOrEqual(LOG_BATCH_LINES_MAX);
  await reader.return?.();
  await until('the source is closed', () => executor.ended);
});
