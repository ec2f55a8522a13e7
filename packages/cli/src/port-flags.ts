/**
 * Flags of services that say how they are reached, and published ports as people write them: one, a
 * range, bound to an address, in Docker's forms.
 */
import { hostText, type EndpointSpec, type PortConfig } from '@swarmd/model';
import { InvalidArgumentError, type Command } from 'commander';

import { HEADINGS } from './flag-headings.ts';
import { collect, longForm, oneOf, parseDuration, parseText, required } from './flags.ts';

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
const SHORT =
  /^(?:(\d+\.\d+\.\d+\.\d+|\[[\da-f:.]+\]):)?(?:(\d*(?:-\d+)?):)?(\d+(?:-\d+)?)(?:\/([a-z]+))?$/i;
const HINT = 'use [ADDRESS:][PUBLISHED:]TARGET[/tcp|udp|sctp], e.g. 8080:80 or 8000-8010:80-90.';

export function addNetworkFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.network)
    .option('--endpoint-mode <vip|dnsrr>', 'how the service name resolves', oneOf('vip', 'dnsrr'))
    .option(
      '--endpoint-affinity <none|client-ip[=time]>',
      'keep a client with one task; remember it for so long while tasks come (none)',
      parseAffinityFlag,
    )
    .option(
      '--publish-source <preserve|snat>',
      'what tasks see of clients at ingress ports: their address or a node\u2019s (preserve)',
      oneOf('preserve', 'snat'),
    )
    .option('--publish-local-only', 'ingress ports: only nodes with a task answer')
    .option('--dns <address>', 'resolver instead of the cluster\u2019s', collect(parseText))
    .option('--dns-search <domain>', 'domain tried for bare names', collect(parseText))
    .option('--dns-option <option>', 'as in resolv.conf(5)', collect(parseText));
}

/**
 * "8080:80", "80", "53:53/udp", "127.0.0.1:8080:80", "[::1]:8080:80", "8000-8010:80-90" or
 * "published=8080,target=80,protocol=tcp,mode=host,address=192.0.2.7" -> a port for each of a range.
 */
export function parsePorts(text: string): PortConfig[] {
  return text.includes('=') ? parseLong(text) : parseShort(text);
}

function parseShort(text: string): PortConfig[] {
  const match = SHORT.exec(text);
  if (match === null) throw new InvalidArgumentError(HINT);
  const [, address = '', published = '', target = '', protocol = 'tcp'] = match;
  return expand(range(published === '' ? '0' : published, 0), range(target, 1), {
    address: address.replaceAll(/[[\]]/g, ''),
    protocol: oneOf(...PROTOCOLS)(protocol),
    publishMode: 'ingress',
  });
}

const FIELDS = ['published', 'target', 'protocol', 'mode', 'address'];

function parseLong(text: string): PortConfig[] {
  const fields = longForm(text.split(','), FIELDS);
  const published = range(fields.get('published') ?? '0', 0);
  return expand(published, range(required(fields, 'target'), 1), {
    protocol: oneOf(...PROTOCOLS)(fields.get('protocol') ?? 'tcp'),
    publishMode: oneOf('ingress', 'host')(fields.get('mode') ?? 'ingress'),
    address: fields.get('address') ?? '',
  });
}

interface Range {
  readonly first: number;
  readonly count: number;
}

/** A published range stands against a target range of its length; 0 against any. */
function expand(
  published: Range,
  target: Range,
  rest: Pick<PortConfig, 'protocol' | 'publishMode' | 'address'>,
): PortConfig[] {
  const isChosen = published.first === 0;
  if (!isChosen && published.count !== target.count) {
    throw new InvalidArgumentError(
      `${published.count} published ports cannot stand for ${target.count} target ports: use ranges of one length.`,
    );
  }
  return Array.from({ length: target.count }, (_, at) => ({
    ...rest,
    publishedPort: isChosen ? 0 : published.first + at,
    targetPort: target.first + at,
  }));
}

function range(text: string, least: number): Range {
  const [first = '', last, ...others] = text.split('-');
  const from = portNumber(first, least);
  if (last === undefined) return { first: from, count: 1 };
  const to = portNumber(last, least);
  if (others.length > 0 || from === 0 || to < from) {
    throw new InvalidArgumentError(`"${text}" is no range of ports: use e.g. 8000-8010.`);
  }
  return { first: from, count: to - from + 1 };
}

/** A port to publish no more: "80" or "80/udp"; without a protocol all are meant. */
export interface TargetPort {
  readonly port: number;
  readonly protocol?: PortConfig['protocol'];
}

/** "80", "80/udp" or "80-90". */
export function parseTargetPorts(text: string): TargetPort[] {
  const [ports = '', protocol, ...rest] = text.split('/');
  if (rest.length > 0) {
    throw new InvalidArgumentError('use TARGET[/tcp|udp|sctp], e.g. 80 or 80-90.');
  }
  const { first, count } = range(ports, 1);
  const said = protocol === undefined ? {} : { protocol: oneOf(...PROTOCOLS)(protocol) };
  return Array.from({ length: count }, (_, at) => ({ port: first + at, ...said }));
}

function portNumber(text: string, least: number): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < least || port > 65_535) {
    throw new InvalidArgumentError(`"${text}" is no port: use ${least} to 65535.`);
  }
  return port;
}

/** "none", "client-ip" or "client-ip=3h". */
export function parseAffinityFlag(
  text: string,
): Pick<EndpointSpec, 'affinity' | 'affinityTimeoutMs'> {
  const [kind = '', timeout, ...rest] = text.split('=');
  const affinity = oneOf('none', 'client-ip')(kind);
  if (rest.length > 0 || (affinity === 'none' && timeout !== undefined)) {
    throw new InvalidArgumentError('use none, client-ip or client-ip=TIMEOUT, e.g. client-ip=3h.');
  }
  return { affinity, affinityTimeoutMs: timeout === undefined ? 0 : parseDuration(timeout) };
}

/** "*:8080->80/tcp"; neighbours as one range: "*:8000-8010->80-90/tcp". */
export function portList(ports: readonly PortConfig[]): string {
  const runs: PortConfig[][] = [];
  for (const port of ports) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run !== undefined && last !== undefined && follows(last, port)) run.push(port);
    else runs.push([port]);
  }
  return runs.map(runText).join(',');
}

function follows(last: PortConfig, port: PortConfig): boolean {
  return (
    port.protocol === last.protocol &&
    port.address === last.address &&
    port.publishMode === last.publishMode &&
    port.publishedPort === last.publishedPort + 1 &&
    port.targetPort === last.targetPort + 1
  );
}

function runText(run: readonly PortConfig[]): string {
  const [first, last] = [run[0], run.at(-1)];
  if (first === undefined || last === undefined) return '';
  const span = (from: number, to: number): string => (from === to ? `${from}` : `${from}-${to}`);
  const published = span(first.publishedPort, last.publishedPort);
  const target = span(first.targetPort, last.targetPort);
  return `${first.address === '' ? '*' : hostText(first.address)}:${published}->${target}/${first.protocol}`;
}
