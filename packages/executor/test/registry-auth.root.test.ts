/** Guards of registries, on Debian's docker-registry: basic, bearer tokens, private authorities, mirrors. */
import { formatRegistryAuth, parseRegistryAuth } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  ANN,
  ANNS_TOKEN,
  DebianRegistry,
  type DebianRegistryOptions,
} from './fixtures/debian-registry.ts';
import { ImageMachine } from './fixtures/image-machine.ts';
import { TestRegistry } from './fixtures/registry.ts';
import { file, tarOf } from './fixtures/tar-writer.ts';

const signal = (): AbortSignal => AbortSignal.timeout(25_000);
const WRONG = { ...ANN, password: 'guessed' };

describe('registries that want to know who asks', () => {
  const started: AsyncDisposable[] = [];
  let basic: DebianRegistry;
  let token: DebianRegistry;
  let secured: DebianRegistry;
  beforeAll(async () => {
    await using source = await TestRegistry.start();
    source.putImage('app:1', [tarOf([file('a', '1')])]);
    const start = async (options: DebianRegistryOptions): Promise<DebianRegistry> => {
      const registry = await DebianRegistry.start(options);
      started.push(registry);
      await registry.fill(`${source.host}/app:1`, 'team/app:1');
      return registry;
    };
    [basic, token, secured] = await Promise.all([
      start({ guard: 'basic' }),
      start({ guard: 'token' }),
      start({ tls: true }),
    ]);
  });
  afterAll(async () => {
    for (const registry of started) await registry[Symbol.asyncDispose]();
  });

  it.each(['basic', 'token'] as const)('%s: whoever has the password pulls', async (guard) => {
    const registry = guard === 'basic' ? basic : token;
    await using machine = await ImageMachine.open();
    const { puller } = machine;
    const name = `${registry.host}/team/app:1`;
    const as = (who: typeof ANN) => ({ auth: { [registry.host]: who } });
    await expect(puller.pull(name, signal())).rejects.toMatchObject({
      code: 'permission-denied',
      message: expect.stringContaining(`swarmctl registry login ${registry.host}`),
    });
    await expect(puller.pull(name, signal(), as(WRONG))).rejects.toMatchObject({
      code: 'permission-denied',
      message: expect.stringContaining('for ann'),
    });
    await expect(puller.pull(name, signal(), { auth: { elsewhere: ANN } })).rejects.toMatchObject({
      code: 'permission-denied',
    });
    await puller.pull(name, signal(), as(ANN));
    expect((await machine.layersOf(name)).length).toBe(1);
    await puller.checkAuth(registry.host, as(ANN).auth, signal());
    await expect(puller.checkAuth(registry.host, as(WRONG).auth, signal())).rejects.toMatchObject({
      code: 'permission-denied',
    });
    const asked = registry.tokens.includes('ann repository:team/app:pull');
    expect(asked).toBe(guard === 'token');
  });

  it('takes an identity token for a password', async () => {
    await using machine = await ImageMachine.open();
    const name = `${token.host}/team/app:1`;
    await machine.puller.pull(name, signal(), { auth: { [token.host]: ANNS_TOKEN } });
    expect(token.tokens).toContain('token repository:team/app:pull');
  });

  it('trusts an authority for one registry, and tells when it is missing', async () => {
    const { host, caFile } = secured;
    await using machine = await ImageMachine.open({ [host]: { caFile } });
    await machine.puller.pull(`${host}/team/app:1`, signal());
    // A name that is not loopback's, so that TLS is spoken without an authority, too.
    const other = `0x7f.1:${host.split(':')[1]}`;
    await using stranger = await ImageMachine.open();
    await expect(stranger.puller.pull(`${other}/team/app:1`, signal())).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('registries.HOST.caFile'),
    });
    await using careless = await ImageMachine.open({ [host]: { caFile: '/no/such/file' } });
    await expect(careless.puller.pull(`${host}/team/app:1`, signal())).rejects.toMatchObject({
      code: 'failed-precondition',
    });
  });

  it('asks mirrors first, in order, as nobody, and the registry when they fail', async () => {
    await using mirror = await TestRegistry.start();
    mirror.putImage('mirrored:1', [tarOf([file('a', 'mirrored')])]);
    const seen: (string | undefined)[] = [];
    mirror.fault = (request) => {
      seen.push(request.headers.authorization);
      return false;
    };
    const mirrors = ['http://127.0.0.1:1', `http://${mirror.host}`];
    await using machine = await ImageMachine.open({ [basic.host]: { mirrors } });
    const options = { auth: { [basic.host]: ANN } };
    await machine.puller.pull(`${basic.host}/mirrored:1`, signal(), options);
    expect(mirror.count('/blobs/')).toBe(2);
    await machine.puller.pull(`${basic.host}/team/app:1`, signal(), options);
    expect(mirror.count('GET /v2/team/app/manifests/1')).toBe(1);
    expect(seen.filter((header) => header !== undefined)).toEqual([]);
  });

  it('does not let the pull of one be decided by what another is allowed', async () => {
    await using machine = await ImageMachine.open();
    const pulls = [undefined, WRONG, ANN].map((who) => {
      const options = who === undefined ? {} : { auth: { [basic.host]: who } };
      return machine.puller.pull(`${basic.host}/team/app:1`, signal(), options);
    });
    const results = await Promise.allSettled(pulls);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});

describe('credentials as a document', () => {
  it('reads what it writes, and what Docker writes', () => {
    const auth = { 'reg:5000': ANN, 'docker.io': { ...ANNS_TOKEN, username: 'ünï' } };
    expect(parseRegistryAuth(formatRegistryAuth(auth))).toEqual(auth);
    const docker = {
      auths: {
        'https://index.docker.io/v1/': { auth: 'YW5uOnBhc3M=' },
        'kept.by.a.helper': {},
        'odd:1': { auth: '%%' },
      },
      credsStore: 'pass',
    };
    expect(parseRegistryAuth(Buffer.from(JSON.stringify(docker)))).toEqual({ 'docker.io': ANN });
  });

  it.each(['', 'x', '[]', '{}', '{"auths":[]}'])('refuses "%s"', (text) => {
    expect(parseRegistryAuth(Buffer.from(text))).toBeInstanceOf(Error);
  });
});
