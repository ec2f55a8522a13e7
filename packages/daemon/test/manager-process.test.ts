/** The supervision of the manager process, with a small program in the manager's place. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { silentLogger } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import { ManualClock, SeededRandom, until } from '@swarmd/base/testing';
import { asId } from '@swarmd/model';
import { afterEach, expect, test } from 'vitest';

import { ManagerProcess, type ManagerProcessDeps } from '../src/manager/manager-process.ts';
import type { ManagerStart } from '../src/manager/protocol.ts';

const PROGRAM = fileURLToPath(new URL('fixtures/fake-manager.ts', import.meta.url));
const NOT_ABORTED = new AbortController().signal;

const children: ChildProcess[] = [];
let manager: ManagerProcess | undefined;

afterEach(async () => {
  await manager?.[Symbol.asyncDispose]();
  manager = undefined;
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const deps: ManagerProcessDeps = {
  fork: () => {
    const child = fork(PROGRAM);
    children.push(child);
    return child;
  },
  clock: systemClock,
  random: new SeededRandom(1),
  logger: silentLogger,
};

function startOf(behaviour: string): ManagerStart {
  const address = { host: '127.0.0.1', port: 1 };
  return {
    stateDir: '/nowhere',
    runDir: '/nowhere',
    logLevel: 'error',
    raftProfile: 'lan',
    nodeId: asId('node', 'n1'),
    clusterId: asId('cluster', behaviour),
    credentials: { keyPem: 'key', certificatePem: '', caPem: '' },
    raftId: 1,
    raftStart: 'bootstrap',
    apiListen: address,
    apiAdvertise: '127.0.0.1:1',
    raftListen: address,
    raftAdvertise: '127.0.0.1:2',
  };
}

function ended(child: ChildProcess | undefined): boolean {
  return child !== undefined && (child.exitCode !== null || child.signalCode !== null);
}

test('is there once it says so, and gone once it is disposed', async () => {
  manager = await ManagerProcess.start(startOf('good'), deps, NOT_ABORTED);
  expect(children).toHaveLength(1);
  expect(manager.error).toBe('');
  await manager[Symbol.asyncDispose]();
  expect(children.map(ended)).toEqual([true]);
});

test('says why it cannot start, and is not tried again', async () => {
  const start = ManagerProcess.start(startOf('fails'), deps, NOT_ABORTED);
  await expect(start).rejects.toMatchObject({ code: 'data-loss', message: 'the log is damaged' });
  expect(children.map(ended)).toEqual([true]);
});

test('that dies while starting is an error', async () => {
  const start = ManagerProcess.start(startOf('dies'), deps, NOT_ABORTED);
  await expect(start).rejects.toThrow('ended while starting: exit code 7');
});

test('may take as long as it works, and is given up when it does nothing', async () => {
  const clock = new ManualClock();
  let heard = 0;
  const fork = (): ChildProcess => {
    const child = deps.fork();
    child.on('message', () => (heard += 1));
    return child;
  };
  const slow = ManagerProcess.start(startOf('slow'), { ...deps, fork, clock }, NOT_ABORTED);
  clock.advance(50_000);
  await until('it to say that it works', () => heard === 1);
  clock.advance(50_000);
  children[0]?.send({ kind: 'credentials', credentials: startOf('slow').credentials });
  await until('it to serve', () => heard === 2);
  manager = await slow;

  const hanging = ManagerProcess.start(startOf('hangs'), { ...deps, fork, clock }, NOT_ABORTED);
  clock.advance(60_000);
  await expect(hanging).rejects.toThrow('did nothing for 60000 ms');
  expect(ended(children[1])).toBe(true);
});

test('is started again when it is killed, from its disk', async () => {
  manager = await ManagerProcess.start(startOf('good'), deps, NOT_ABORTED);
  children[0]?.kill('SIGKILL');
  await until('a second process', () => children.length === 2);
  await until('all is well again', () => manager?.error === '');
});

test('is tried again and again when it does not come back, and says so', async () => {
  manager = await ManagerProcess.start(startOf('fails-later'), deps, NOT_ABORTED);
  children[0]?.kill('SIGKILL');
  await until('a third process', () => children.length >= 3);
  expect(manager.error).toContain('exit code 7');
});

test('ends when the daemon is gone', async () => {
  manager = await ManagerProcess.start(startOf('good'), deps, NOT_ABORTED);
  const [child] = children;
  // What the death of the daemon does to the channel.
  child?.disconnect();
  await until('it has ended', () => ended(child));
});
