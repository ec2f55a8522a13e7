import { SwarmError } from '@swarmd/base';
import { asId, type TableName } from '@swarmd/model';
import type { Store } from '@swarmd/store';
import { createMemoryStore } from '@swarmd/store/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { WATCH_QUEUE_COMMITS } from '../src/limits.ts';
import { createWatch } from '../src/observe/watch.ts';
import { aNode } from './support/objects.ts';

const NEW = { version: 0, createdAt: 0, updatedAt: 0 };

describe('watching', () => {
  let store: Store;
  let stop: AbortController;
  beforeEach(() => {
    store = createMemoryStore();
    stop = new AbortController();
  });
  afterEach(() => stop.abort());

  const addNode = (id: string): Promise<void> =>
    store.update((tx) => tx.put('node', aNode(id, { meta: NEW })), stop.signal);
  const watch = (tables: TableName[], includeExisting = true) => {
    const request = { tables, includeExisting };
    return createWatch(store).watch(request, { signal: stop.signal })[Symbol.asyncIterator]();
  };

  it('shows what is there, then every commit once', async () => {
    await addNode('a');
    const watcher = watch(['node']);
    const first = await watcher.next();
    await addNode('b');
    await store.update((tx) => tx.delete('node', asId('node', 'a')), stop.signal);
    const [second, third] = [await watcher.next(), await watcher.next()];
    expect([first, second, third].map(({ value }) => value)).toMatchObject([
      { version: 1, changes: [{ kind: 'put', object: { id: 'a' } }] },
      { version: 2, changes: [{ kind: 'put', object: { id: 'b' } }] },
      { version: 3, changes: [{ kind: 'delete', id: 'a' }] },
    ]);
  });

  it('says at once that it watches, also when nothing is there', async () => {
    const watcher = watch([], false);
    await addNode('a');
    expect((await watcher.next()).value).toEqual({ version: 1, changes: [] });
  });

  it('cuts off who falls too far behind', async () => {
    const watcher = watch(['node'], false);
    await watcher.next();
    for (let at = 0; at <= WATCH_QUEUE_COMMITS; at += 1) await addNode(`n${at}`);
    const readAll = async (): Promise<void> => {
      for (let done = false; !done;) done = (await watcher.next()).done === true;
    };
    await expect(readAll()).rejects.toMatchObject({ code: 'resource-exhausted' });
  });

  it('refuses tables that do not exist', async () => {
    await expect(watch(['pods' as TableName]).next()).rejects.toBeInstanceOf(SwarmError);
  });
});
