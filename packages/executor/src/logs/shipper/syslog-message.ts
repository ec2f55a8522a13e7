/** Lines as syslog messages, in the formats that Docker's driver has. Pure. */
import { microTimeText } from '@swarmd/base';
import type { SyslogFormat, SyslogTarget } from '@swarmd/model';

import type { ShipLine } from './protocol.ts';
import { formatStamp } from './time.ts';

const ERROR = 3;
const INFO = 6;

export interface SyslogSource {
  readonly target: Pick<SyslogTarget, 'facility' | 'format' | 'transport'>;
  readonly tag: string;
  readonly hostname: string;
  /** Of the program that sends it. */
  readonly pid: number;
}

/** Without what separates it from the next one on a stream. */
export function syslogMessage(
  { target, tag, hostname, pid }: SyslogSource,
  { isError, timestamp, text }: ShipLine,
): Buffer {
  const priority = target.facility * 8 + (isError ? ERROR : INFO);
  const header = headers[target.format]({ priority, tag, hostname, pid, timestamp });
  return Buffer.concat([Buffer.from(header), text]);
}

interface Header {
  readonly priority: number;
  readonly tag: string;
  readonly hostname: string;
  readonly pid: number;
  readonly timestamp: number;
}

const headers: Readonly<Record<SyslogFormat, (header: Header) => string>> = {
  // What local daemons read: they know their host.
  plain: ({ priority, tag, pid, timestamp }) =>
    `<${priority}>${formatStamp(timestamp)} ${tag}[${pid}]: `,
  rfc3164: ({ priority, tag, hostname, pid, timestamp }) =>
    `<${priority}>${formatStamp(timestamp)} ${hostname} ${tag}[${pid}]: `,
  rfc5424: (header) => rfc5424(header, `${microTimeText(header.timestamp).slice(0, 19)}Z`),
  rfc5424micro: (header) => rfc5424(header, microTimeText(header.timestamp)),
};

/** RFC 5424, 6: version, timestamp, host, application, process, message id, no structured data. */
function rfc5424({ priority, tag, hostname, pid }: Header, time: string): string {
  const name = tag.replace(/[^\x21-\x7e]/g, '_').slice(0, 48) || '-';
  return `<${priority}>1 ${time} ${hostname || '-'} ${name} ${pid} ${name.slice(0, 32)} - `;
}

/** On a stream: RFC 5425 counts bytes (with TLS, as Docker does), everything else ends with a newline. */
export function framed({ target }: SyslogSource, message: Buffer): Buffer {
  const isCounted =
    target.transport === 'tcp+tls' &&
    (target.format === 'rfc5424' || target.format === 'rfc5424micro');
  return isCounted
    ? Buffer.concat([Buffer.from(`${message.length} `), message])
    : Buffer.concat([message, NEWLINE]);
}

const NEWLINE = Buffer.from('\n');
