/**
 * What needs no program of its own: nft transactions, settings, namespaces, the removal of links and the lines of ip(8) that
 * rtnetlink.ts knows, done one after the other by a small process that enters namespaces itself.
 * Beside a run of `nft` in a namespace (5 ms of processor time) one takes 0.4 ms here (ADR 0029).
 */
import { unreachable } from '@swarmd/base';

import type { Step } from '../desired/step.ts';
import {
  ERROR_TEXT_BYTES,
  NFT_SOCKETS_KEPT_MAX,
  NFT_SOCKETS_KEPT_MS,
  WORKER_LINES_MAX,
} from '../limits.ts';
import { Helper, type HelperOptions } from './helper.ts';
import { linkMessage, removalMessage } from './rtnetlink.ts';
import { WORKER_PROGRAM } from './worker-program.ts';

const HOST = '-';

export function openWorker(options: Pick<HelperOptions, 'timeoutMs'> = {}): Helper<Buffer> {
  const bounds = [process.pid, NFT_SOCKETS_KEPT_MS, NFT_SOCKETS_KEPT_MAX, ERROR_TEXT_BYTES];
  return new Helper({
    argv: () => ['luajit', '-e', `arg = { ${bounds.join(', ')} }\n${WORKER_PROGRAM}`],
    frame: (id, job) => Buffer.concat([Buffer.from(`${id} ${job.length}\n`), Buffer.from(job)]),
    ...options,
  });
}

/** One operation of worker-program.ts, and what it is about in words. */
interface Operation {
  readonly head: string;
  readonly data: Buffer;
  readonly what: string;
}

export interface Job {
  readonly bytes: Buffer;
  /** What each operation is about, for errors that name its number, from 1. */
  readonly what: readonly string[];
}

/** The steps in order; undefined when one of them is not for the worker, or they are too long for it. */
export function jobOf(steps: readonly Step[]): Job | undefined {
  if (steps.reduce((sum, step) => sum + linesOf(step), 0) > WORKER_LINES_MAX) return undefined;
  const operations: Operation[] = [];
  for (const step of steps) {
    const some = operationsOf(step);
    if (some === undefined) return undefined;
    operations.push(...some);
  }
  return {
    bytes: bytesOf(operations),
    what: operations.map(({ what }) => what),
  };
}

/** Lists the rules of a table, as a namespace has them. */
export function listJob(table: string, netns?: string): Buffer {
  return bytesOf([enter(netns), operation('list', '-', `list table ${table}`)]);
}

/** Lists rules as the kernel would have them. @param program in the language of nft(8) */
export function scratchJob(program: string): Buffer {
  return bytesOf([
    operation('scratch', '-'),
    operation('nft', '-', program),
    operation('list', '-', 'list ruleset'),
  ]);
}

function bytesOf(operations: readonly Operation[]): Buffer {
  return Buffer.concat(operations.flatMap(({ head, data }) => [Buffer.from(head), data]));
}

function linesOf(step: Step): number {
  return step.kind === 'ip' || step.kind === 'bridge' ? step.lines.length : 0;
}

function operationsOf(step: Step): Operation[] | undefined {
  switch (step.kind) {
    case 'nft':
      return [enter(step.netns), operation('nft', '-', step.text)];
    case 'sysctl':
      return [enter(step.netns), ...step.lines.map(setting)];
    case 'add-netns':
      return [operation('add', step.name)];
    case 'delete-netns':
      return [operation('del', step.name)];
    case 'ip':
    case 'bridge':
      return lineOperations(step);
    case 'together':
      return step.steps.reduce<Operation[] | undefined>((all, one) => {
        const netns = one.netns ?? step.netns;
        const some = operationsOf(netns === undefined ? one : { ...one, netns });
        return all === undefined || some === undefined ? undefined : [...all, ...some];
      }, []);
    case 'delete-links':
      return [enter(step.netns), ...step.names.map(removal)];
    case 'forget-connections':
    case 'name-host-netns':
      return undefined;
    default:
      return unreachable(step);
  }
}

function lineOperations({
  netns,
  lines,
}: {
  readonly netns?: string;
  readonly lines: readonly string[];
}): Operation[] | undefined {
  const operations: Operation[] = [enter(netns)];
  for (const line of lines) {
    const name = /^netns add (\S+)$/.exec(line)?.[1];
    const message = name === undefined ? linkMessage(line) : undefined;
    if (name !== undefined) operations.push(operation('add', name), enter(netns));
    else if (message === undefined) return undefined;
    else operations.push({ ...operation('rt', message.fills, message.bytes), what: line });
  }
  return operations;
}

function removal(name: string): Operation {
  const { bytes, fills } = removalMessage(name);
  return { ...operation('gone', fills, bytes), what: `link del ${name}` };
}

function enter(netns: string | undefined): Operation {
  return operation('in', netns ?? HOST);
}

/** @param line "net/ipv4/ip_forward=1" */
function setting(line: string): Operation {
  const [path = '', value = ''] = line.split('=');
  return operation('set', `/proc/sys/${path}`, value);
}

function operation(
  name: 'in' | 'add' | 'del' | 'set' | 'nft' | 'list' | 'scratch' | 'rt' | 'gone',
  argument: string,
  content: string | Buffer = '',
): Operation {
  const data = typeof content === 'string' ? Buffer.from(content) : content;
  const text = typeof content === 'string' && content !== '' ? ` ${content}` : '';
  return { head: `${name} ${argument} ${data.length}\n`, data, what: `${name} ${argument}${text}` };
}
