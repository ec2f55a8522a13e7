/** Log drivers and the daemons they are for: rsyslog behind TLS, and systemd's journal. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { until } from '@swarmd/base/testing';
import { run, systemClock } from '@swarmd/base/system';
import { logPlan } from '@swarmd/model';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { errnoOf } from '../src/files/atomic-file.ts';
import { JournaldSink } from '../src/logs/shipper/journald-sink.ts';
import { SyslogSink } from '../src/logs/shipper/syslog-sink.ts';

const DEADLINE_MS = 20_000;
const JOURNALD = '/lib/systemd/systemd-journald';
const signal = (): AbortSignal => AbortSignal.timeout(DEADLINE_MS);
const line = (text: string, isError = false) => ({
  isError,
  timestamp: 1_795_267_279_123.5,
  text: Buffer.from(text),
});

let folder: string;
const daemons: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmd-log-'));
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) {
    if (daemon.exitCode === null && daemon.kill('SIGKILL')) await once(daemon, 'exit');
  }
  await rm(folder, { recursive: true, force: true });
});

function start(program: string, args: readonly string[]): ChildProcess {
  const daemon = spawn(program, args, { stdio: 'ignore' });
  daemons.push(daemon);
  return daemon;
}

/** What is in a file of the folder; empty while it is not there. */
async function text(name: string): Promise<string> {
  try {
    return await readFile(join(folder, name), 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}

describe('rsyslog behind TLS', () => {
  async function authority(name: string): Promise<void> {
    const subject = ['-x509', '-subj', `/CN=${name}`, '-days', '2'];
    await openssl('req', ...NEW_KEY, ...subject, '-keyout', `${name}.key`, '-out', `${name}.pem`);
  }

  /** `NAME.pem` and `NAME.key`, for `host`. */
  async function certificate(name: string, by: string, host: string): Promise<void> {
    await openssl(
      'req',
      ...NEW_KEY,
      '-subj',
      `/CN=${host}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
    );
    await writeFile(join(folder, `${name}.ext`), `subjectAltName=DNS:${host}\n`);
    const ca = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial', '-days', '2'];
    await openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      ...ca,
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    );
  }

  const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

  async function openssl(...args: string[]): Promise<void> {
    await run('openssl', args, { cwd: folder });
  }

  /** @returns its port. It takes only clients that the authority `ca` knows. */
  async function listen(): Promise<number> {
    const at = (name: string): string => JSON.stringify(join(folder, name));
    await writeFile(
      join(folder, 'rsyslog.conf'),
      `global(workDirectory=${JSON.stringify(folder)} DefaultNetstreamDriver="gtls"
  DefaultNetstreamDriverCAFile=${at('ca.pem')} DefaultNetstreamDriverCertFile=${at('server.pem')}
  DefaultNetstreamDriverKeyFile=${at('server.key')})
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
template(name="plain" type="string" string="%syslogseverity-text% %app-name% %hostname%%msg%\\n")
ruleset(name="all") { action(type="omfile" file=${at('received')} template="plain") }
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName=${at('port')} ruleset="all")
`,
    );
    start('rsyslogd', ['-n', '-f', join(folder, 'rsyslog.conf'), '-i', join(folder, 'pid')]);
    const port = await until('the listener', async () => (await text('port')) || undefined);
    return Number(port);
  }

  function sink(port: number, tls: Record<string, string>): SyslogSink {
    const files = Object.entries(tls).map(([name, file]) => [
      `syslog-tls-${name}`,
      join(folder, file),
    ]);
    const options = {
      'syslog-address': `tcp+tls://localhost:${port}`,
      'syslog-format': 'rfc5424',
      ...(Object.fromEntries(files) as Record<string, string>),
    };
    const target = logPlan('syslog', options).syslog;
    if (target === undefined) throw new Error('no target');
    return new SyslogSink({ target, tag: 'web', hostname: 'n1', pid: 7 }, systemClock);
  }

  beforeEach(async () => {
    await authority('ca');
    await certificate('client', 'ca', 'node');
  });

  it('takes every line, once', async () => {
    await certificate('server', 'ca', 'localhost');
    const port = await listen();
    const own = { 'ca-cert': 'ca.pem', cert: 'client.pem', key: 'client.key' };
    await using there = sink(port, own);
    for (let batch = 0; batch < 5; batch += 1) {
      await there.write(
        [1, 2, 3].map((number) => line(`line ${batch * 3 + number}`)),
        signal(),
      );
    }
    await there.write([line('a line with "quotes" and ümläuts', true)], signal());
    const received = await until('the lines', async () => {
      const lines = (await text('received')).split('\n').filter(Boolean);
      return lines.length >= 16 ? lines : undefined;
    });
    expect(received).toEqual([
      ...Array.from({ length: 15 }, (_, at) => `info web n1line ${at + 1}`),
      'err web n1a line with "quotes" and ümläuts',
    ]);
  });

  it('is not trusted with a certificate of somebody else, or for somebody else', async () => {
    await authority('other');
    await certificate('server', 'other', 'localhost');
    const port = await listen();
    await using stranger = sink(port, { 'ca-cert': 'ca.pem' });
    await expect(stranger.write([line('secret')], signal())).rejects.toThrow(
      /^syslog at tcp\+tls:\/\/localhost:\d+: .*(certificate|issuer)/,
    );
    const [daemon] = daemons.splice(0);
    daemon?.kill('SIGKILL');
    await rm(join(folder, 'port'));
    await certificate('server', 'ca', 'elsewhere');
    await using elsewhere = sink(await listen(), { 'ca-cert': 'ca.pem' });
    await expect(elsewhere.write([line('secret')], signal())).rejects.toThrow(/elsewhere/);
    expect(await text('received')).toBe('');
  });
});

describe('the journal', () => {
  it('has lines with the fields of Docker', async () => {
    // Its own folders; one with a name of its own does not read the kernel's messages.
    const inside = `mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log && exec ${JOURNALD} swarmd`;
    const daemon = start('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', inside]);
    const root = `/proc/${daemon.pid}/root`;
    const sockets = `${root}/run/systemd/journal.swarmd`;
    await until('the journal', async () => {
      const { stdout } = await run('ls', [sockets], { okCodes: [0, 2] });
      return stdout.includes('socket') ? true : undefined;
    });
    const job = {
      id: 'abcdefghijklmnop',
      plan: logPlan('journald', {}),
      spool: '',
      target: '',
      checkpoint: '',
      attributes: { tag: 'web', 'com.example.team': 'blue' },
      name: 'web.1.abc',
      image: 'busybox',
    };
    await using sink = new JournaldSink(job, systemClock, `${sockets}/socket`);
    await sink.write([line('first'), line('two\nrows', true)], signal());
    const found = await until('the lines', async () => {
      const files = `${root}/var/log/journal/*/system.journal`;
      const args = ['--file', files, '-o', 'json', 'CONTAINER_NAME=web.1.abc'];
      const { stdout } = await run('journalctl', args, { okCodes: [0, 1] });
      const rows = stdout.split('\n').filter((one) => one.startsWith('{'));
      return rows.length === 2 ? rows.map((one) => JSON.parse(one) as object) : undefined;
    });
    const fields = {
      CONTAINER_ID: 'abcdefghijkl',
      CONTAINER_ID_FULL: 'abcdefghijklmnop',
      CONTAINER_TAG: 'web',
      IMAGE_NAME: 'busybox',
      SYSLOG_IDENTIFIER: 'web',
      COM_EXAMPLE_TEAM: 'blue',
      SYSLOG_TIMESTAMP: '2026-11-21T13:21:19.123500Z',
      _TRANSPORT: 'journal',
    };
    expect(found).toMatchObject([
      { ...fields, PRIORITY: '6', MESSAGE: 'first' },
      { ...fields, PRIORITY: '3', MESSAGE: 'two\nrows' },
    ]);
  });
});
