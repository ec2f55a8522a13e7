/** --log-driver and --log-opt: what they mean, and what is refused with which words. */
import { describe, expect, it } from 'vitest';

import { expandTag, logPlan } from '../src/index.ts';

describe('options of log drivers', () => {
  it.each([
    ['', {}, { spool: { maxBytes: 10_485_760, kept: 2, isCompressed: true } }],
    [
      'local',
      { 'max-size': '1k', 'max-file': '1', compress: 'false' },
      {
        spool: { maxBytes: 524_288, kept: 56, isCompressed: false },
        files: { maxBytes: 1024, kept: 0, isCompressed: false },
      },
    ],
    [
      'local',
      { 'max-size': '4m' },
      { spool: { maxBytes: 4_194_304, kept: 2, isCompressed: true } },
    ],
    [
      'json-file',
      { 'max-size': '-1', labels: 'a, b', env: 'C', tag: '{{.Name}}', mode: 'non-blocking' },
      {
        spool: { maxBytes: 4_194_304, kept: 7, isCompressed: false },
        files: { maxBytes: Number.MAX_SAFE_INTEGER, kept: 2, isCompressed: false },
        attributes: { labels: ['a', 'b'], env: ['C'], tag: '{{.Name}}' },
      },
    ],
    ['journald', { 'cache-disabled': 'true' }, { isReadable: false }],
    ['journald', { 'cache-max-size': '2m' }, { isReadable: true, spool: { maxBytes: 2_097_152 } }],
    ['none', {}, { isReadable: false }],
    ['syslog', {}, { syslog: { transport: 'local', facility: 3, format: 'plain' } }],
    [
      'syslog',
      {
        'syslog-address': 'tcp+tls://logs.example:6514',
        'syslog-facility': 'local7',
        'syslog-format': 'rfc5424micro',
        'syslog-tls-ca-cert': '/etc/ca.pem',
      },
      {
        syslog: {
          transport: 'tcp+tls',
          host: 'logs.example',
          port: 6514,
          facility: 23,
          format: 'rfc5424micro',
          tls: { ca: '/etc/ca.pem', cert: '', key: '', skipVerify: false },
        },
      },
    ],
    [
      'syslog',
      { 'syslog-address': 'udp://[::1]', 'syslog-facility': '5' },
      { syslog: { host: '::1', port: 514, facility: 5 } },
    ],
    [
      'syslog',
      { 'syslog-address': 'unixgram:///dev/log' },
      { syslog: { transport: 'unixgram', path: '/dev/log' } },
    ],
  ])('%s %o', (driver, options, wanted) => {
    expect(logPlan(driver, options as Record<string, string>)).toMatchObject(wanted);
  });

  it.each([
    ['gelf', {}, 'there is no log driver "gelf"; there are local, json-file, journald'],
    ['none', { tag: 'x' }, 'none: tag=x: there is no such option; it has none'],
    ['local', { 'max-sise': '1m' }, 'it has max-size, max-file, compress'],
    ['local', { 'max-size': 'much' }, 'write bytes, or a number with k, m or g'],
    ['local', { 'max-size': '0' }, 'write bytes'],
    ['local', { 'max-file': '0' }, 'a number of files from 1 to 100'],
    ['local', { 'max-file': '1e9' }, 'a number of files from 1 to 100'],
    ['json-file', { compress: 'yes' }, 'json-file: compress=yes: write true or false'],
    ['json-file', { tag: '{{.Nme}}' }, 'write text with {{.ID}}, {{.FullID}}'],
    ['json-file', { tag: '{{.Name' }, 'write text with'],
    ['json-file', { 'env-regex': '(' }, 'env-regex=(: Invalid regular expression'],
    ['json-file', { mode: 'blocking' }, 'a container never waits for its log'],
    ['syslog', { 'syslog-address': 'logs.example' }, 'write udp://HOST[:PORT], tcp://'],
    ['syslog', { 'syslog-address': 'tcp://a:99999' }, 'write udp://HOST'],
    ['syslog', { 'syslog-facility': 'mine' }, 'write one of kern, user'],
    ['syslog', { 'syslog-format': 'json' }, 'write rfc3164, rfc5424 or rfc5424micro'],
    ['syslog', { 'syslog-tls-cert': '/a' }, 'is for tcp+tls:// addresses only'],
    [
      'syslog',
      { 'syslog-address': 'tcp+tls://a', 'syslog-tls-cert': '/a' },
      'syslog-tls-cert=/a: give both or none',
    ],
    [
      'syslog',
      { 'syslog-address': 'tcp+tls://a', 'syslog-tls-ca-cert': 'a' },
      'write the absolute path of a file on the nodes',
    ],
  ])('%s %o: %s', (driver, options, words) => {
    expect(() => logPlan(driver, options as Record<string, string>)).toThrow(words);
  });
});

it('tags say who printed a line', () => {
  const values = {
    ID: 'abc',
    FullID: 'abcdef',
    Name: 'web.1',
    ImageID: '1',
    ImageFullID: '12',
    ImageName: 'nginx',
    DaemonName: 'swarmd',
  };
  expect(expandTag('{{.ImageName}}/{{ .Name }}/{{.ID}}', values)).toBe('nginx/web.1/abc');
});
