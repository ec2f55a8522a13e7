import { asId, logLines, type LogLine } from '@swarmd/model';
import { expect, test } from 'vitest';

import { logService } from '../src/log-service.ts';
import { TestExecutor } from './support/machine.ts';
import { aTask } from './support/tasks.ts';

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
  const request = { taskId: asId('task', id), options: { follow, details: follow } };
  for await (const chunk of from.taskLogs(request, { signal })) {
    const { serviceId, nodeId, attributes } = chunk;
    expect(attributes).toEqual(follow ? { tag: 'a tag' } : {});
    for (const { stream, data } of logLines(chunk)) {
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
  const wanted = ['s1@n1 stdout hello', 's1@n1 stderr oh'];
  expect(await lines(service(executor))).toEqual(wanted);
  expect(await lines(service(executor), 't1', false)).toEqual(wanted);
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
