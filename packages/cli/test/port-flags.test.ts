import { describe, expect, test } from 'vitest';

import { parseAffinityFlag, parsePorts, parseTargetPorts, portList } from '../src/port-flags.ts';

const one = {
  publishedPort: 8080,
  targetPort: 80,
  protocol: 'tcp',
  publishMode: 'ingress',
  address: '',
} as const;

describe('a port to publish', () => {
  test.each([
    ['8080:80', [one]],
    ['80', [{ ...one, publishedPort: 0 }]],
    ['8080:80/sctp', [{ ...one, protocol: 'sctp' }]],
    ['127.0.0.1:8080:80', [{ ...one, address: '127.0.0.1' }]],
    ['[2001:db8::7]:8080:80', [{ ...one, address: '2001:db8::7' }]],
    ['127.0.0.1::80', [{ ...one, publishedPort: 0, address: '127.0.0.1' }]],
    [
      '8080-8082:80-82',
      [0, 1, 2].map((at) => ({ ...one, publishedPort: 8080 + at, targetPort: 80 + at })),
    ],
    ['80-81', [80, 81].map((targetPort) => ({ ...one, publishedPort: 0, targetPort }))],
    ['published=8080,target=80,mode=host', [{ ...one, publishMode: 'host' }]],
    [
      'published=8080-8081,target=80-81,protocol=udp,mode=host,address=192.0.2.7',
      [0, 1].map((at) => ({
        publishedPort: 8080 + at,
        targetPort: 80 + at,
        protocol: 'udp',
        publishMode: 'host',
        address: '192.0.2.7',
      })),
    ],
  ])('%s', (text, ports) => {
    expect(parsePorts(text)).toEqual(ports);
  });

  test.each([
    ['70000:80', 'is no port'],
    ['0', 'is no port'],
    ['80:80/icmp', 'use one of: tcp, udp, sctp'],
    ['80:', 'use [ADDRESS:]'],
    ['8000-8010:80', '11 published ports cannot stand for 1 target ports'],
    ['8010-8000:80-90', 'is no range'],
    ['target=80,colour=red', 'unknown field "colour"'],
    ['published=80', 'target=... is missing'],
  ])('%s is refused', (text, words) => {
    expect(() => parsePorts(text)).toThrow(words);
  });
});

test('a port to publish no more', () => {
  expect(parseTargetPorts('80')).toEqual([{ port: 80 }]);
  expect(parseTargetPorts('80-81/udp')).toEqual([
    { port: 80, protocol: 'udp' },
    { port: 81, protocol: 'udp' },
  ]);
  expect(() => parseTargetPorts('80/icmp')).toThrow('use one of');
  expect(() => parseTargetPorts('80/tcp/udp')).toThrow('use TARGET');
});

test('who stays with whom', () => {
  expect(parseAffinityFlag('client-ip')).toEqual({ affinity: 'client-ip', affinityTimeoutMs: 0 });
  expect(parseAffinityFlag('client-ip=3h').affinityTimeoutMs).toBe(10_800_000);
  expect(() => parseAffinityFlag('none=3h')).toThrow('use none, client-ip');
});

test('lists of ports: neighbours as one', () => {
  expect(portList([])).toBe('');
  expect(portList(parsePorts('8080-8089:80-89'))).toBe('*:8080-8089->80-89/tcp');
  expect(
    portList([
      ...parsePorts('8080:80'),
      ...parsePorts('8081:81/udp'),
      ...parsePorts('10.0.0.1:8082:80'),
    ]),
  ).toBe('*:8080->80/tcp,*:8081->81/udp,10.0.0.1:8082->80/tcp');
});
