/** A record that cannot be written, as on a full disk: here a folder is in its way. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger } from '@swarmd/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { LiveContainer } from '../src/container/live.ts';
import { ContainerPaths } from '../src/container/paths.ts';
import { readRecord, writeRecord, type ContainerRecord } from '../src/container/record.ts';

const RECORD: ContainerRecord = {
  id: 'c',
  name: 'c',
  image: 'i',
  labels: {},
  phase: 'created',
  bootId: 'now',
  stopSignal: 'SIGTERM',
};
const EXIT = { code: 3, oomKilled: false, error: '' };

describe('a container whose record cannot be written', () => {
  let folder: string;
  let paths: ContainerPaths;
  let told: object[];
  let container: LiveContainer;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmd-live-'));
    paths = new ContainerPaths({ stateDir: folder, runDir: join(folder, 'run') }, 'c');
    await mkdir(paths.state, { recursive: true });
    await writeRecord(paths.record, RECORD);
    await mkdir(`${paths.record}.tmp`);
    told = [];
    const logger = { ...silentLogger, warn: (what: object) => void told.push(what) };
    container = new LiveContainer(paths, RECORD, logger);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('says so of a note, which the next write makes up for', async () => {
    container.note({ phase: 'running' });
    await expect.poll(() => told).toMatchObject([{ id: 'c', phase: 'running' }]);
    await rm(`${paths.record}.tmp`, { recursive: true });
    await container.update({ isPaused: true });
    expect(await readRecord(paths.record)).toMatchObject({ phase: 'running', isPaused: true });
  });

  it('ends all the same, for the exit file keeps how', async () => {
    await container.end(EXIT);
    expect(await container.wait(AbortSignal.abort())).toEqual(EXIT);
    expect(told).toMatchObject([{ id: 'c', phase: 'exited' }]);
  });

  it('can be given up: without a record it is removed by a later life', async () => {
    await container.giveUp();
    await expect(readFile(paths.record)).rejects.toThrow('ENOENT');
    expect(told).toMatchObject([{ id: 'c', phase: 'removing' }]);
  });

  it('refuses a change that must not be lost', async () => {
    await expect(container.update({ isPaused: true })).rejects.toThrow('EISDIR');
  });
});
