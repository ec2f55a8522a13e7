/** Options of the syslog driver, as Docker's. Pure. */
import type { SwarmError } from '@swarmd/base';

export type SyslogFormat = 'plain' | 'rfc3164' | 'rfc5424' | 'rfc5424micro';

export interface SyslogTarget {
  /** local: whatever listens on this machine. */
  readonly transport: 'local' | 'udp' | 'tcp' | 'tcp+tls' | 'unix' | 'unixgram';
  readonly host: string;
  readonly port: number;
  /** unix, unixgram. */
  readonly path: string;
  /** Number of the facility. */
  readonly facility: number;
  readonly format: SyslogFormat;
  /** Files of the node; empty: none. */
  readonly tls: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly skipVerify: boolean;
  };
}

const FACILITIES =
  'kern user mail daemon auth syslog lpr news uucp cron authpriv ftp - - - - local0 local1 local2 local3 local4 local5 local6 local7'.split(
    ' ',
  );
const DAEMON = 3;
const PORT = 514;

const TLS_OPTIONS = [
  'syslog-tls-ca-cert',
  'syslog-tls-cert',
  'syslog-tls-key',
  'syslog-tls-skip-verify',
];
export const SYSLOG_OPTIONS: readonly string[] = [
  'syslog-address',
  'syslog-facility',
  'syslog-format',
  ...TLS_OPTIONS,
];

type Wrong = (name: string, why: string) => SwarmError;

/** @throws what `wrong` makes. */
export function parseSyslog(options: Readonly<Record<string, string>>, wrong: Wrong): SyslogTarget {
  const target = address(options['syslog-address'] ?? '', wrong);
  const skipVerify = options['syslog-tls-skip-verify'] ?? 'false';
  if (skipVerify !== 'true' && skipVerify !== 'false') {
    throw wrong('syslog-tls-skip-verify', 'write true or false');
  }
  for (const name of TLS_OPTIONS) {
    if (options[name] === undefined) continue;
    if (target.transport !== 'tcp+tls') throw wrong(name, 'is for tcp+tls:// addresses only');
    if (name !== 'syslog-tls-skip-verify' && !options[name].startsWith('/')) {
      throw wrong(name, 'write the absolute path of a file on the nodes');
    }
  }
  const [cert = '', key = ''] = [options['syslog-tls-cert'], options['syslog-tls-key']];
  if ((cert === '') !== (key === '')) {
    throw wrong(cert === '' ? 'syslog-tls-key' : 'syslog-tls-cert', 'give both or none');
  }
  return {
    ...target,
    facility: facility(options['syslog-facility'] ?? '', wrong),
    format: format(options['syslog-format'] ?? '', wrong),
    tls: {
      ca: options['syslog-tls-ca-cert'] ?? '',
      cert,
      key,
      skipVerify: skipVerify === 'true',
    },
  };
}

function address(
  text: string,
  wrong: Wrong,
): Pick<SyslogTarget, 'transport' | 'host' | 'port' | 'path'> {
  if (text === '') return { transport: 'local', host: '', port: 0, path: '' };
  const unix = /^(unix|unixgram):\/\/(\/.+)$/.exec(text);
  if (unix !== null) {
    return { transport: unix[1] as 'unix' | 'unixgram', host: '', port: 0, path: unix[2] ?? '' };
  }
  const net = /^(udp|tcp|tcp\+tls):\/\/(?:\[([0-9a-f:.]+)\]|([^:/[\]]+))(?::(\d+))?$/i.exec(text);
  const transport = net?.[1] as 'udp' | 'tcp' | 'tcp+tls' | undefined;
  const port = Number(net?.[4] ?? PORT);
  if (net === null || transport === undefined || port < 1 || port > 65_535) {
    throw wrong(
      'syslog-address',
      'write udp://HOST[:PORT], tcp://HOST[:PORT], tcp+tls://HOST[:PORT], unix:///PATH or unixgram:///PATH',
    );
  }
  return { transport, host: net[2] ?? net[3] ?? '', port, path: '' };
}

function facility(text: string, wrong: Wrong): number {
  if (text === '') return DAEMON;
  const number = /^\d+$/.test(text) ? Number(text) : FACILITIES.indexOf(text);
  if (text !== '-' && number >= 0 && number < FACILITIES.length) return number;
  const names = FACILITIES.filter((name) => name !== '-').join(', ');
  throw wrong('syslog-facility', `write one of ${names}, or a number from 0 to 23`);
}

function format(text: string, wrong: Wrong): SyslogFormat {
  switch (text) {
    case '':
      return 'plain';
    case 'rfc3164':
    case 'rfc5424':
    case 'rfc5424micro':
      return text;
    default:
      throw wrong('syslog-format', 'write rfc3164, rfc5424 or rfc5424micro');
  }
}
