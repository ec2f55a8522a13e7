import { containerSpec } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { environment, processArguments, stopSignal } from '../src/container/process.ts';
import { resolveUser } from '../src/container/user.ts';
import type { ImageConfig } from '../src/image/manifest.ts';
import { capabilitySet } from '../src/oci/capabilities.ts';

const image = (config: Partial<ImageConfig>): ImageConfig => ({
  user: '',
  env: [],
  entrypoint: [],
  command: [],
  workingDir: '',
  stopSignal: '',
  volumes: [],
  healthcheck: undefined,
  diffIds: [],
  ...config,
});
const spec = (input: object) => containerSpec.parse({ image: 'x', ...input });
const BOTH = { entrypoint: ['entry', 'point'], command: ['cmd'] };

describe('program of a container', () => {
  it.each<[string, object, Partial<ImageConfig>, string[]]>([
    ['nothing of the spec', {}, BOTH, ['entry', 'point', 'cmd']],
    ['arguments of the spec', { args: ['a'] }, BOTH, ['entry', 'point', 'a']],
    ['a command of the spec', { command: ['c'] }, BOTH, ['c']],
    ['both of the spec', { command: ['c'], args: ['a'] }, BOTH, ['c', 'a']],
    ['only a command of the image', {}, { command: ['cmd'] }, ['cmd']],
    [
      'an init process',
      { init: true, args: ['a'] },
      BOTH,
      ['/dev/init', '--', 'entry', 'point', 'a'],
    ],
  ])('with %s', (_, ...[input, config, argv]) => {
    expect(processArguments(spec(input), image(config))).toEqual(argv);
  });

  it('must be somewhere', () => {
    expect(() => processArguments(spec({}), image({}))).toThrow('names no program to run');
  });
});

describe('environment of a container', () => {
  it('merges, later ones winning, and removes bare names', () => {
    const result = environment(
      spec({ env: ['A=spec', 'GONE', 'EMPTY=', 'EQ=a=b'], tty: true }),
      image({ env: ['A=image', 'GONE=x', 'PATH=/image'] }),
      { hostname: 'h', home: '/home/app' },
    );
    expect(result).toEqual([
      'PATH=/image',
      'HOSTNAME=h',
      'HOME=/home/app',
      'TERM=xterm',
      'A=spec',
      'EMPTY=',
      'EQ=a=b',
    ]);
  });
});

describe('stop signal', () => {
  it.each([
    ['', '', 'SIGTERM'],
    ['', 'SIGQUIT', 'SIGQUIT'],
    ['int', 'SIGQUIT', 'SIGINT'],
    ['9', '', 'SIGKILL'],
  ])('spec "%s", image "%s": %s', (wanted, ofImage, name) => {
    expect(stopSignal(spec({ stopSignal: wanted }), image({ stopSignal: ofImage }))).toBe(name);
  });
});

describe('user of a container', () => {
  const files = {
    passwd:
      'root:x:0:0:root:/root:/bin/sh\n# a remark\nbroken\napp:x:1000:1001:App:/home/app:/bin/sh\n',
    group: 'root:x:0:\nstaff:x:50:app,other\nown:x:1001:app\n',
  };
  it.each([
    ['', { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
    ['app', { uid: 1000, gid: 1001, additionalGids: [1001, 50], home: '/home/app' }],
    ['1000', { uid: 1000, gid: 1001, additionalGids: [1001, 50], home: '/home/app' }],
    ['app:staff', { uid: 1000, gid: 50, additionalGids: [50], home: '/home/app' }],
    ['77:88', { uid: 77, gid: 88, additionalGids: [88], home: '/' }],
    [':staff', { uid: 0, gid: 50, additionalGids: [50], home: '/root' }],
  ])('"%s"', (wanted, user) => {
    expect(resolveUser(wanted, files)).toEqual(user);
  });

  it.each(['nobody', 'app:nogroup', '4294967295', '-1'])('"%s" is not there', (wanted) => {
    expect(() => resolveUser(wanted, files)).toThrow(/is not in the image's/);
  });
});

describe('capabilities', () => {
  it.each<[string, string[], string[], string[] | number]>([
    ['all dropped, one added', ['NET_BIND_SERVICE'], ['ALL'], ['CAP_NET_BIND_SERVICE']],
    ['one dropped of all', ['all'], ['sys_admin'], 40],
    ['nothing changed', [], [], 14],
  ])('%s', (_, ...[add, drop, wanted]) => {
    const set = capabilitySet(add, drop);
    expect(typeof wanted === 'number' ? set.length : set).toEqual(wanted);
  });
});
