/** Entry of the Raft worker thread: one member, driven by messages from the main thread. */
import { parentPort, workerData } from 'node:worker_threads';

import { assert, errorCode, errorMessage, type Logger } from '@swarmd/base';
import { systemClock, systemRandom } from '@swarmd/base/system';

import { DiskStorage } from '../wal/disk-storage.ts';
import { boot } from './boot.ts';
import { Replica } from './replica.ts';
import { raftService } from './transport/proto.ts';
import { Transport } from './transport/transport.ts';
import type { FromWorker, LogLevel, ToWorker, WorkerStart } from './worker-protocol.ts';

assert(parentPort !== null, 'this file runs as a worker thread');
const port = parentPort;

function post(message: FromWorker): void {
  port.postMessage(message, transferable(message));
}

function transferable(message: FromWorker): ArrayBuffer[] {
  if (message.kind === 'apply') return [message.batch.data];
  return message.kind === 'restoreFrame' ? [message.frame] : [];
}

function loggerWith(bindings: object): Logger {
  const at =
    (level: LogLevel) =>
    (fields: object, message: string): void =>
      post({ kind: 'log', level, fields: { ...bindings, ...fields }, message });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (more) => loggerWith({ ...bindings, ...more }),
  };
}

function fail(error: unknown): void {
  post({ kind: 'failed', error: { code: errorCode(error), message: errorMessage(error) } });
}

/** Undefined while the log is being opened. */
let replica: Replica | undefined;
let stopped: Promise<void> | undefined;

async function start(): Promise<void> {
  try {
    const { options, protoDir } = workerData as WorkerStart;
    const storage = new DiskStorage(options.directory);
    const booted = await boot({ options, storage, random: systemRandom });
    replica = new Replica(options, booted, {
      clock: systemClock,
      random: systemRandom,
      logger: loggerWith({}),
      post,
      // Immediates run after the poll phase, which reads what the sockets hold.
      soon: (fn) => void setImmediate(fn),
      makeNetwork: (context) => new Transport(context, raftService(protoDir)),
      onFailure: (error) => {
        fail(error);
        void stop();
      },
    });
    if (stopped === undefined) await replica.run();
  } catch (error) {
    fail(error);
    await stop();
  }
}

function stop(): Promise<void> {
  stopped ??= close();
  return stopped;
}

async function close(): Promise<void> {
  try {
    await replica?.retire();
    await replica?.[Symbol.asyncDispose]();
  } catch (error) {
    loggerWith({}).warn({ error: errorMessage(error) }, 'the Raft member did not stop cleanly');
  }
}

async function answerStop(): Promise<void> {
  // An open that is under way is waited for, so that the log is closed properly.
  if (replica === undefined) await started;
  await stop();
  post({ kind: 'stopped' });
  // The thread ends by itself with its last connection.
  port.close();
}

const started = start();

port.on('message', (message: ToWorker) => {
  if (message.kind === 'stop') void answerStop();
  else replica?.receive(message);
});
