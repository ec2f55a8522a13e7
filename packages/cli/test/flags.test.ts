import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';

import {
  parseBytes,
  parseCount,
  parseCpus,
  parseDuration,
  parseLabel,
  parseMount,
  parsePort,
  parseRatio,
} from '../src/flags.ts';

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
      parsePort,
      '8080:80',
      { publishedPort: 8080, targetPort: 80, protocol: 'tcp', publishMode: 'ingress' },
    ],
    [
      parsePort,
      '80',
      { publishedPort: 0, targetPort: 80, protocol: 'tcp', publishMode: 'ingress' },
    ],
    [
      parsePort,
      '53:53/udp',
      { publishedPort: 53, targetPort: 53, protocol: 'udp', publishMode: 'ingress' },
    ],
    [
      parsePort,
      'published=8080,target=80,mode=host',
      { publishedPort: 8080, targetPort: 80, protocol: 'tcp', publishMode: 'host' },
    ],
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
      },
    ],
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
    [parsePort, '70000:80'],
    [parsePort, '0'],
    [parsePort, '80:80/icmp'],
    [parsePort, 'target=80,colour=red'],
    [parseMount, 'type=bind,source=/a'],
    [parseMount, 'type=moon,target=/a'],
    [parseMount, 'type=volume,target=/a,size=3'],
  ])('%o refuses %j', (parse: (text: string) => unknown, text) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError);
  });
});
