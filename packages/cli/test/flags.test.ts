import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';

import {
  parseBytes,
  parseCount,
  parseCpus,
  parseDuration,
  parseFile,
  parseHost,
  parseLabel,
  parseNetwork,
  parseRatio,
} from '../src/flags.ts';
import { parseMount } from '../src/mount-flag.ts';
import { runDirOf } from '../src/run-dir.ts';
import { splitWords } from '../src/words.ts';

const MOUNT = {
  propagation: '',
  nonRecursive: false,
  subpath: '',
  noCopy: false,
  driver: '',
  driverOptions: {},
  labels: {},
};

describe('values of flags', () => {
  it.each([
    [parseBytes, '512', 512],
    [parseBytes, '64M', 64 * 1024 ** 2],
    [parseBytes, '1.5g', 1.5 * 1024 ** 3],
    [parseBytes, '2GiB', 2 * 1024 ** 3],
    [parseDuration, '500ms', 500],
    [parseDuration, '10s', 10_000],
    [parseDuration, '1m30s', 90_000],
    [parseDuration, '0', 0],
    [parseCpus, '0.5', 5e8],
    [parseCpus, '2', 2e9],
    [parseCount, '42', 42],
    [parseRatio, '0.25', 0.25],
    [parseLabel, 'a=b=c', ['a', 'b=c']],
    [parseLabel, 'a', ['a', '']],
    [
      parseMount,
      'type=tmpfs,target=/t,tmpfs-size=64M',
      {
        kind: 'tmpfs',
        source: '',
        target: '/t',
        readOnly: false,
        tmpfsSizeBytes: 64 * 1024 ** 2,
        tmpfsMode: 0o1777,
        ...MOUNT,
      },
    ],
    [
      parseMount,
      'source=d,target=/t,volume-subpath=a,volume-opt=type=nfs,"volume-opt=o=addr=h,ro",volume-label=k=v',
      {
        kind: 'volume',
        source: 'd',
        target: '/t',
        readOnly: false,
        tmpfsSizeBytes: 0,
        tmpfsMode: 0o1777,
        ...MOUNT,
        subpath: 'a',
        driverOptions: { type: 'nfs', o: 'addr=h,ro' },
        labels: { k: 'v' },
      },
    ],
    [
      parseMount,
      'type=bind,src=/a,dst=/b,ro',
      {
        kind: 'bind',
        source: '/a',
        target: '/b',
        readOnly: true,
        tmpfsSizeBytes: 0,
        tmpfsMode: 0o1777,
        ...MOUNT,
      },
    ],
    [parseFile, 'key', { source: 'key' }],
    [parseFile, 'key:/etc/key', { source: 'key', target: '/etc/key' }],
    [parseFile, 'source=key,mode=0440,uid=7', { source: 'key', mode: 0o440, uid: 7 }],
    [parseNetwork, 'net', { name: 'net', aliases: [] }],
    [parseNetwork, 'name=net,alias=a,alias=b', { name: 'net', aliases: ['a', 'b'] }],
    [parseHost, 'db:fe80::1', 'fe80::1 db'],
    [splitWords, '', []],
    [splitWords, '  a  b\tc\n', ['a', 'b', 'c']],
    [splitWords, `sh -c 'echo "a b" \\n'`, ['sh', '-c', 'echo "a b" \\n']],
    [splitWords, `"a 'b' \\" \\$ \\n" c`, [`a 'b' " $ \\n`, 'c']],
    [splitWords, `a"b c"'d e'f`, ['ab cd ef']],
    [splitWords, `'' a "" `, ['', 'a', '']],
    [splitWords, 'a\\ b \\"', ['a b', '"']],
    [splitWords, 'a\\\nb "c\\\nd"', ['ab', 'cd']],
  ])('%o reads %s', (parse: (text: string) => unknown, text, value) => {
    expect(parse(text)).toEqual(value);
  });

  it.each([
    [parseBytes, '64X'],
    [parseBytes, ''],
    [parseDuration, '10'],
    [parseDuration, '10s5'],
    [parseCpus, '-1'],
    [parseCount, '1.5'],
    [parseRatio, '2'],
    [parseRatio, ''],
    [parseLabel, '=b'],
    [parseMount, 'type=bind,source=/a'],
    [parseMount, 'type=moon,target=/a'],
    [parseMount, 'type=volume,target=/a,size=3'],
    [parseCount, '99999999999999999'],
    [parseFile, ':target'],
    [parseFile, 'key:'],
    [parseFile, 'target=a'],
    [parseFile, 'source=a,mode=9'],
    [parseNetwork, 'alias=a'],
    [parseHost, 'db'],
    [parseMount, 'type=bind,source=a,target=/b'],
    [parseMount, 'type=tmpfs,source=/a,target=/b'],
    [parseMount, 'target=/b,readonly=perhaps'],
    [parseMount, 'target=/b,tmpfs-mode=99'],
    [splitWords, `a 'b`],
    [splitWords, 'a "b'],
    [splitWords, 'a \\'],
  ])('%o refuses %j', (parse: (text: string) => unknown, text) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError);
  });
});

describe('the folder of the daemon\u2019s sockets', () => {
  it.each([
    { what: 'is said before the command', words: '--run-dir /a node ls', is: '/a' },
    { what: 'is said in one word', words: '--run-dir=/a node ls', is: '/a' },
    { what: 'is else that of the environment', words: 'node ls', is: '/b' },
    { what: 'is not a word for a container', words: 'service create x --run-dir /c', is: '/b' },
  ])('$what', ({ words, is }) => {
    expect(runDirOf(words.split(' '), '/b')).toBe(is);
  });

  it('is else the usual one', () => {
    expect(runDirOf(['node', 'ls'], '')).toBe('/run/swarmd');
    expect(runDirOf(['--run-dir'], undefined)).toBe('/run/swarmd');
  });
});
