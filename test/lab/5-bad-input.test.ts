/** Bad input: a clear error that says what, where and what next; never a crash, never a half-made object. */
import { errorCode } from '@swarmd/base';
import { afterAll, describe, expect, it } from 'vitest';

import { BUSYBOX, cluster, ctl, lab, ok, remove, tasks, until } from './support.ts';

const EXIT_USAGE = 2;
const EXIT_NOT_FOUND = 3;
const EXIT_REFUSED = 5;

describe('the command line', () => {
  it.each([
    [
      ['service', 'create', '--no-such-flag', BUSYBOX],
      EXIT_USAGE,
      /unknown option '--no-such-flag'/,
    ],
    [['no-such-command'], EXIT_USAGE, /unknown command/],
    [['service', 'create'], EXIT_USAGE, /missing required argument 'image'/],
    [['service', 'create', '--replicas', 'many', BUSYBOX], EXIT_USAGE, /whole number/],
    [['service', 'create', '--name', 'bad', '--limit-memory', '1k', BUSYBOX], EXIT_USAGE, /4 MiB/],
    [['service', 'create', '--name', 'Not Valid', BUSYBOX], EXIT_USAGE, /name.*DNS label/],
    [
      ['service', 'create', '--name', 'bad', '--network', 'nowhere', BUSYBOX],
      EXIT_NOT_FOUND,
      /no such network: "nowhere"/,
    ],
    [
      ['service', 'create', '--name', 'bad', '--constraint', 'moon=full', BUSYBOX],
      EXIT_USAGE,
      /constraint/,
    ],
    [['service', 'create', '--name', 'bad', 'team/UPPER:tag'], EXIT_USAGE, /image/],
    [['service', 'inspect', 'nobody'], EXIT_NOT_FOUND, /no such service: "nobody"/],
    [['service', 'scale', 'web'], EXIT_USAGE, /SERVICE=REPLICAS/],
    [['service', 'rm', 'nobody'], EXIT_NOT_FOUND, /no such service/],
    [['node', 'drain', 'nobody'], EXIT_NOT_FOUND, /no such node/],
    [['network', 'create', '--subnet', '10.300.0.0/24', 'bad'], EXIT_USAGE, /subnet/],
    [['network', 'rm', 'nowhere'], EXIT_NOT_FOUND, /no such network/],
    [['swarm', 'init'], EXIT_REFUSED, /already/],
    [['node', 'rm', 'w1'], EXIT_REFUSED, /w1|down|force/],
  ])('%j', async (args, code, message) => {
    const outcome = await ctl('m1', ...args);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(code);
  });

  it('makes nothing of any of that', async () => {
    expect(JSON.parse(await ok('service', 'ls', '--format', 'json'))).toEqual([]);
    expect(JSON.parse(await ok('network', 'ls', '--format', 'json'))).toEqual([]);
    expect(JSON.parse(await ok('node', 'ls', '--format', 'json'))).toHaveLength(lab.nodes.length);
  });
});

describe('images', () => {
  afterAll(() => remove('missing', 'wrong', 'unreachable'));

  it.each([
    ['missing', `${lab.layout.registryEndpoint}/no-such-image:1`, /no-such-image.*HTTP 404/],
    [
      'wrong',
      `${lab.layout.registryEndpoint}/busybox@sha256:${'0'.repeat(64)}`,
      /busybox.*HTTP 404.*sha256:0000/,
    ],
    ['unreachable', '10.77.0.250:5000/busybox:1', /10\.77\.0\.250:5000/],
  ])(
    '%s: the task says what went wrong, again and again, and nothing else suffers',
    async (name, image, message) => {
      await ok('service', 'create', '--detach', '--name', name, '--restart-delay', '1s', image);
      const told = await until('an error', async () =>
        (await tasks(name)).find((task) => message.test(task.status.error)),
      );
      expect(told.status.error).toMatch(message);
      expect(await ok('service', 'ps', '--no-trunc', name)).toMatch(message);
    },
  );
});

describe('the API', () => {
  const call = () => ({ signal: AbortSignal.timeout(10_000), timeoutMs: 10_000 });

  it('checks a spec again, and names the field', async () => {
    using client = cluster('m1');
    const bad = client.control.createService(
      { spec: { name: 'bad', task: { container: { image: '' } } } },
      call(),
    );
    await expect(bad).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/image/),
    });
  });

  it('refuses an old version', async () => {
    using client = cluster('m1');
    const change = await until('a change of what was just read', async () => {
      const [node] = await client.control.listNodes({ filter: {} }, call());
      if (node === undefined) throw new Error('no node');
      const spec = { ...node.spec, labels: { touched: '1' } };
      const wanted = { id: node.id, version: node.meta.version, spec };
      try {
        await client.control.updateNode(wanted, call());
        return wanted;
      } catch (error) {
        // The node itself has said something in between.
        if (errorCode(error) !== 'out-of-date') throw error;
        return undefined;
      }
    });
    const stale = client.control.updateNode(change, call());
    await expect(stale).rejects.toMatchObject({ code: 'out-of-date' });
  });

  it('never gives out keys or secrets', async () => {
    using client = cluster('m1');
    const created = await client.control.createSecret(
      { spec: { name: 'hush', labels: {}, data: Buffer.from('quiet') } },
      call(),
    );
    expect(created.spec.data).toHaveLength(0);
    expect((await client.control.getCluster({}, call())).rootCa.keyPem).toBe('');
    await client.control.removeSecret({ id: created.id }, call());
  });
});
