/** Versions of secrets and configs over a real manager, and dry runs of what is no service or node. */
import type { Preview, Write } from '@swarmd/api';
import { errorCode } from '@swarmd/base';
import type { Secret, Service, Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { until } from '@swarmd/base/testing';
import { aCall, TestCluster, type Host } from './support/managers.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const HEX = /^[0-9a-z]{25}$/;

describe('a secret', () => {
  const cluster = new TestCluster();
  let host: Host;
  let first: Secret;
  let web: Service;
  beforeAll(async () => {
    host = await cluster.init();
    const agent = await cluster.worker(host);
    await until('the worker is ready', async () => {
      const node = await host.control.getNode({ id: agent.nodeId }, aCall());
      return node.status.state === 'ready';
    });
    first = await host.control.createSecret({ spec: { name: 'key', data: bytes('one') } }, aCall());
    web = await host.control.createService(
      {
        spec: {
          name: 'web',
          mode: { kind: 'replicated', replicas: 2 },
          task: {
            container: {
              image: 'registry.test/web:1',
              secrets: [{ id: first.id, name: 'key', target: 'key' }],
            },
            restart: { delayMs: 0 },
          },
          update: { parallelism: 0, monitorMs: 0 },
        },
      },
      aCall(),
    );
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  const secrets = async (): Promise<Secret[]> =>
    (await host.control.listSecrets({ filter: { names: ['key'] } }, aCall())).toSorted(
      (a, b) => a.number - b.number,
    );
  const newest = async (): Promise<Secret> => {
    const found = (await secrets()).find(({ replacedAt }) => replacedAt === undefined);
    if (found === undefined) throw new Error('there is a newest version');
    return found;
  };
  const usedBy = ({ spec }: Task | Service): string | undefined => {
    const container = 'container' in spec ? spec.container : spec.task.container;
    return container.secrets[0]?.id;
  };
  const refusal = async (what: Promise<unknown>): Promise<string> =>
    what.then(
      () => 'accepted',
      (error: unknown) => `${errorCode(error)}: ${(error as Error).message}`,
    );

  async function untilAllRunWith(id: string): Promise<void> {
    await until(`two tasks run with ${id}`, async () => {
      const tasks = await host.control.listTasks({ filter: {} }, aCall());
      const alive = tasks.filter(
        ({ status, desiredState }) => status.state === 'running' && desiredState === 'running',
      );
      if (alive.length !== 2 || alive.some((task) => usedBy(task) !== id)) return false;
      // The update's end is a write of the service as well: until then what was read of it is out of date.
      const { updateStatus } = await host.control.getService({ id: web.id }, aCall());
      return ['completed', 'rollback-completed', undefined].includes(updateStatus?.state);
    });
  }

  async function preview(write: Write): Promise<Preview> {
    const before = JSON.stringify(await secrets());
    const answer = await host.control.preview(write, aCall());
    expect(JSON.stringify(await secrets())).toBe(before);
    return answer;
  }

  it('with a new content: shown beforehand, then rolled out to who uses it', async () => {
    await untilAllRunWith(first.id);
    const spec = { name: 'key', data: bytes('another') };
    const request = { id: first.id, version: first.meta.version, spec };
    const shown = await preview({ kind: 'update-secret', ...request });
    expect(shown.spec).toEqual([
      { path: 'version', before: '1', after: '2' },
      { path: 'data', before: '"3 bytes"', after: '"7 bytes"' },
      { path: 'services.web.secrets.key.version', before: '1', after: '2' },
    ]);
    expect(shown.tasks.map(({ action, slot }) => `${action} ${slot}`)).toEqual([
      'replace 1',
      'replace 2',
    ]);
    const next = await host.control.updateSecret(request, aCall());
    expect(next).toMatchObject({ number: 2, spec: { name: 'key', data: new Uint8Array() } });
    expect(next.id).toMatch(HEX);
    await untilAllRunWith(next.id);
    expect((await secrets()).map(({ id, number }) => `${number} ${id}`)).toEqual([
      `1 ${first.id}`,
      `2 ${next.id}`,
    ]);
  });

  it('comes back with a rollback of the service', async () => {
    const before = await host.control.getService({ id: web.id }, aCall());
    const request = { id: web.id, version: before.meta.version, rollback: true };
    expect(usedBy(await host.control.updateService(request, aCall()))).toBe(first.id);
    await untilAllRunWith(first.id);
    expect((await newest()).number).toBe(2);
  });

  it('refuses what cannot be: old versions, stale ones, new names, removal while in use', async () => {
    const { id, meta } = await newest();
    const spec = { name: 'key', data: bytes('x') };
    const { control } = host;
    const [old] = await secrets();
    const oldVersion = old?.meta.version ?? 0;
    expect(
      await Promise.all([
        refusal(control.updateSecret({ id: first.id, version: oldVersion, spec }, aCall())),
        refusal(control.updateSecret({ id, version: 1, spec }, aCall())),
        refusal(
          control.updateSecret(
            { id, version: meta.version, spec: { ...spec, name: 'b' } },
            aCall(),
          ),
        ),
        refusal(control.removeSecret({ id }, aCall())),
        refusal(control.removeSecret({ id: first.id }, aCall())),
        refusal(control.preview({ kind: 'remove-secret', id }, aCall())),
      ]),
    ).toEqual([
      expect.stringMatching(/^failed-precondition: .*version 1, which never changes/),
      expect.stringMatching(/^out-of-date: /),
      expect.stringMatching(/^unimplemented: .*renamed/),
      expect.stringMatching(/^invalid-argument: secret key is in use by service web/),
      expect.stringMatching(/^invalid-argument: secret key is in use by service web/),
      expect.stringMatching(/^invalid-argument: secret key is in use by service web/),
    ]);
  });

  it('keeps its version when its content stays; labels alone are written', async () => {
    const { id, meta } = await newest();
    const spec = { name: 'key', labels: { a: '1' }, data: new Uint8Array() };
    const written = await host.control.updateSecret({ id, version: meta.version, spec }, aCall());
    expect(written).toMatchObject({ id, number: 2, spec: { labels: { a: '1' } } });
    const same = { name: 'key', labels: { a: '1' }, data: bytes('another') };
    const again = { id, version: written.meta.version, spec: same };
    expect((await host.control.updateSecret(again, aCall())).number).toBe(2);
  });

  it('can be changed without its services; former versions nobody refers to go away', async () => {
    const { id, meta } = await newest();
    const spec = { name: 'key', data: bytes('third') };
    const request = { id, version: meta.version, spec, keepServices: true };
    const next = await host.control.updateSecret(request, aCall());
    expect(usedBy(await host.control.getService({ id: web.id }, aCall()))).toBe(first.id);
    await host.control.removeService({ id: web.id }, aCall());
    await until('former versions are removed', async () => (await secrets()).length === 1);
    expect((await newest()).id).toBe(next.id);
    await host.control.removeSecret({ id: next.id }, aCall());
    expect(await secrets()).toEqual([]);
  });

  it('other dry runs: networks with what is chosen, settings, tokens; nothing is written', async () => {
    const made = await preview({ kind: 'create-network', spec: { name: 'back' } });
    expect(made.spec).toEqual([
      { path: 'name', after: '"back"' },
      { path: 'subnet', after: expect.stringMatching(/^"10\.[\d.]+\/24"$/) as string },
      { path: 'gateway', after: expect.stringMatching(/^"10\./) as string },
      { path: 'vni', after: '4097' },
    ]);
    expect(await host.control.listNetworks({ filter: {} }, aCall())).toEqual([]);
    const { meta, spec, rootCa } = await host.control.getCluster({}, aCall());
    const rotate = { version: meta.version, rotateWorkerToken: true, rotateManagerToken: false };
    const changed = await preview({
      kind: 'update-cluster',
      ...rotate,
      spec: { ...spec, taskHistoryLimit: 9, rebalance: { ...spec.rebalance, budget: 7 } },
    });
    expect(changed.spec).toEqual([
      { path: 'taskHistoryLimit', before: '5', after: '9' },
      { path: 'rebalance.budget', before: `${spec.rebalance.budget}`, after: '7' },
      { path: 'joinTokens.worker', before: '"the present one"', after: '"a new one"' },
    ]);
    const after = await host.control.getCluster({}, aCall());
    expect([after.meta.version, after.rootCa.joinTokens]).toEqual([
      meta.version,
      rootCa.joinTokens,
    ]);
  });
});
