/** What users may write, and what they are told when it is wrong. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { ClusterId, NodeId } from '@swarmd/model';

import { readConfigFile } from '../src/config/file.ts';
import { parseFlags } from '../src/config/flags.ts';
import { settle } from '../src/config/settings.ts';
import type { Membership } from '../src/identity/identity.ts';
import { chooseAddresses, dataPathOf, hasMoved, withAddresses } from '../src/swarm/addresses.ts';
import { VERSION } from '../src/version.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmd-settings-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function settings(...args: string[]) {
  return settle({}, parseFlags(args).settings);
}

test('defaults', () => {
  expect(settings()).toEqual({
    stateDir: '/var/lib/swarmd',
    runDir: '/run/swarmd',
    listen: { host: '0.0.0.0', port: 4242 },
    advertiseAddr: undefined,
    cgroupParent: '/swarmd',
    genericResources: [],
    registries: {},
    userns: { user: 'swarmd', byDefault: false },
    imageCleanUp: { unusedForMs: 30 * 24 * 3_600_000, highPercent: 85, lowPercent: 80 },
    runtimes: {},
    logDefaults: { driver: 'local', options: {} },
    logLevel: 'info',
    raftProfile: 'lan',
    nodeLabels: {},
  });
});

test('the log driver of services that name none, refused when it does not understand its options', () => {
  const file = { logDriver: 'json-file', logOpts: { 'max-size': '5m' } };
  const { driver, options } = settle(file, {}).logDefaults;
  expect([driver, options]).toEqual(['json-file', { 'max-size': '5m' }]);
  expect(() => settle({ logDriver: 'syslog', logOpts: { 'max-size': '5m' } }, {})).toThrow(
    'log driver syslog: max-size=5m: there is no such option',
  );
});

test('flags win over the file, lists and labels add up', () => {
  const file = {
    stateDir: '/a',
    runDir: '/b',
    insecureRegistries: ['r1'],
    registries: { 'docker.io': { mirrors: ['https://first'] } },
    nodeLabels: { x: '1', y: '1' },
  };
  const { settings: flags } = parseFlags([
    '--state-dir=/c',
    '--insecure-registry=r2:5000',
    '--insecure-registry=r3',
    '--registry-ca=r3=/ca.pem',
    '--registry-mirror=docker.io=http://second:5000/hub',
    '--node-label=y=2',
    '--node-label=z=a=b',
    '--listen-addr=10.0.0.1',
    '--raft-profile=wan',
  ]);
  expect(settle({ ...file, raftProfile: 'lan' }, flags)).toMatchObject({
    stateDir: '/c',
    raftProfile: 'wan',
    runDir: '/b',
    registries: {
      r1: { insecure: true },
      'r2:5000': { insecure: true },
      r3: { insecure: true, caFile: '/ca.pem' },
      'docker.io': { mirrors: ['https://first', 'http://second:5000/hub'] },
    },
    nodeLabels: { x: '1', y: '2', z: 'a=b' },
    listen: { host: '10.0.0.1', port: 4242 },
  });
});

describe('refused flags', () => {
  test.each([
    ['--nope', "Unknown option '--nope'. See swarmd --help"],
    ['extra', "Unexpected argument 'extra'"],
    ['--state-dir', "Option '--state-dir <value>' argument missing"],
    ['--log-level=loud', '--log-level "loud" must be one of debug, info, warn, error'],
    ['--raft-profile=moon', '--raft-profile "moon" must be one of lan, wan'],
    ['--node-label=alone', '--node-label "alone" must be KEY=VALUE'],
    ['--generic-resource=gpu', 'generic resource "gpu" must be KIND=NUMBER'],
    ['--listen-addr=host:99', 'listen address "host:99" must be an IPv4 address'],
    ['--listen-addr=1.2.3.4:65535', 'listen address "1.2.3.4:65535" must be'],
    ['--advertise-addr=0.0.0.0', 'must be one that other machines reach this one at'],
  ])('%s', (flag, message) => {
    expect(() => settings(flag)).toThrow(message);
  });
});

test('generic resources are counted, or have names', () => {
  const given = [
    '--generic-resource=gpu=a,b',
    '--generic-resource=disk=1',
    '--generic-resource=disk=3',
  ];
  expect(settings(...given).genericResources).toEqual([
    { kind: 'gpu', count: 2, names: ['a', 'b'] },
    { kind: 'disk', count: 3, names: [] },
  ]);
});

describe('the configuration file', () => {
  test('is read', async () => {
    const path = join(folder, 'good.json');
    await writeFile(path, JSON.stringify({ logLevel: 'debug', nodeLabels: { disk: 'ssd' } }));
    expect(await readConfigFile(path)).toEqual({ logLevel: 'debug', nodeLabels: { disk: 'ssd' } });
  });

  test.each([
    ['{"logLevel":"loud"}', 'logLevel: Invalid option'],
    ['{"raftProfile":"moon"}', 'raftProfile: Invalid option'],
    ['{"stateDri":"/x"}', 'Unrecognized key: "stateDri"'],
    ['{"insecureRegistries":["a",5]}', 'insecureRegistries.1: Invalid input'],
    ['{', 'JSON'],
  ])('%s is refused', async (text, message) => {
    const path = join(folder, 'bad.json');
    await writeFile(path, text);
    await expect(readConfigFile(path)).rejects.toThrow(message);
    await expect(readConfigFile(path)).rejects.toThrow(path);
  });

  test('that is missing is said to be', async () => {
    await expect(readConfigFile(join(folder, 'none.json'))).rejects.toThrow('ENOENT');
  });
});

describe('addresses of a node', () => {
  const asked = (advertiseAddress: string, listenAddress = '') => ({
    advertiseAddress,
    listenAddress,
    dataPathAddress: '',
  });

  const said = settings('--advertise-addr=10.0.0.9');
  const own = ['10.1.1.1'];

  test.each([
    ['of the request', asked('10.0.0.7', '10.0.0.8:5000'), '10.0.0.7:5000 10.0.0.8:5000'],
    ['of the request, with a port', asked('10.0.0.7:99'), '10.0.0.7:99 0.0.0.0:4242'],
    ['of the settings', asked(''), '10.0.0.9:4242 0.0.0.0:4242'],
  ])('%s', (_name, request, expected) => {
    const { advertise, listen } = chooseAddresses(request, said, own);
    expect(`${advertise} ${listen}`).toBe(expected);
  });

  test.each([
    ['it listens on', asked('', '10.0.0.8'), '10.0.0.8:4242 10.0.0.8:4242'],
    ['it has, if it is the only one', asked(''), '10.1.1.1:4242 0.0.0.0:4242'],
  ])('%s', (_name, request, expected) => {
    const { advertise, listen } = chooseAddresses(request, settings(), own);
    expect(`${advertise} ${listen}`).toBe(expected);
  });

  const several = ['10.1.1.1', '192.168.0.1'];

  test.each([
    ['of the request', asked('10.0.0.7'), '10.0.0.7:4242'],
    ['of the settings', asked(''), '10.0.0.9:4242'],
  ])('%s, among several', (_name, request, expected) => {
    expect(chooseAddresses(request, said, several).advertise).toBe(expected);
  });

  const before: Membership = {
    nodeId: 'n1' as NodeId,
    clusterId: 'c1' as ClusterId,
    role: 'manager',
    advertise: '10.0.0.7:99',
    listen: '0.0.0.0:4242',
    dataPath: '10.0.0.7',
    managers: [],
  };

  test.each([
    [[], '10.0.0.7:99 0.0.0.0:4242 10.0.0.7'],
    [['10.1.1.1'], '10.1.1.1:99 0.0.0.0:4242 10.0.0.7'],
    [['', '10.1.1.1:98'], '10.0.0.7:99 10.1.1.1:98 10.0.0.7'],
    [['10.1.1.1:97', '10.1.1.1', '2001:db8::7'], '10.1.1.1:97 10.1.1.1:4242 2001:db8::7'],
  ])('that change: %j', ([advertise = '', listen, dataPathAddress = ''], expected) => {
    const request = { ...asked(advertise, listen), dataPathAddress };
    const now = withAddresses(before, request, ['10.1.1.1', '2001:db8::7']);
    expect(`${now.advertise} ${now.listen} ${now.dataPath}`).toBe(expected);
    expect(hasMoved(before, now)).toBe(`${advertise}${listen ?? ''}` !== '');
  });

  test('that change must be its own', () => {
    const request = { ...asked('10.1.1.1'), dataPathAddress: '10.0.0.8' };
    expect(() => withAddresses(before, request, own)).toThrow('must be an address that');
  });

  test('for the traffic between containers is one that an interface has', () => {
    const own = ['10.0.0.7', '2001:db8::7'];
    expect(dataPathOf('', own)).toEqual({});
    expect(dataPathOf('10.0.0.7', own)).toEqual({ dataPath: '10.0.0.7' });
    expect(dataPathOf('2001:DB8:0:0::7', own)).toEqual({ dataPath: '2001:db8::7' });
    for (const other of ['10.0.0.8', '2001:db8::8', 'eth0', '0.0.0.0']) {
      expect(() => dataPathOf(other, own)).toThrow(
        `"${other}" must be an address that an interface of this machine has: 10.0.0.7, 2001:db8::7`,
      );
    }
  });

  test('must be said when there are several', () => {
    expect(() => chooseAddresses(asked(''), settings(), several)).toThrow(
      'say --advertise-addr: this machine has several (10.1.1.1, 192.168.0.1)',
    );
  });
});

test('the version is that of the package', async () => {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ version: VERSION });
});
