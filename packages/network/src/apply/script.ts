/** Steps as text for a shell. One step is one program with its batch on standard input. */
import { unreachable } from '@swarmd/base';

import type { BatchStep, Step } from '../desired/step.ts';

/** The script for sh(1) that runs the steps in order, if that stops at the first failure. */
export function scriptOf(steps: readonly Step[]): string {
  return groupByNetns(steps)
    .map((group) => {
      const [first, ...others] = group;
      const netns = first === undefined ? undefined : netnsOf(first);
      if (netns === undefined || others.length === 0) return group.map(line).join('');
      return `${enter(netns).join(' ')} sh -e -s <<'INSIDE'\n${group.map(insideLine).join('')}INSIDE\n`;
    })
    .join('');
}

const enter = (netns: string): [string, string] => ['nsenter', `--net=/run/netns/${netns}`];

function netnsOf(step: Step): string | undefined {
  return 'netns' in step ? step.netns : undefined;
}

/** Neighbours that work in the same other namespace share one entrance to it. */
function groupByNetns(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    const previous = last?.[0];
    if (last !== undefined && previous !== undefined && netnsOf(previous) === netnsOf(step)) {
      last.push(step);
    } else {
      groups.push([step]);
    }
  }
  return groups;
}

function argvOf(step: BatchStep): readonly string[] {
  if (step.kind === 'nft') {
    const nft = ['nft', '-f', '-'];
    return step.netns === undefined ? nft : [...enter(step.netns), ...nft];
  }
  const family = step.family === undefined ? [] : [`-${step.family}`];
  return step.netns === undefined
    ? [step.kind, ...family, '-batch', '-']
    : [step.kind, ...family, '-n', step.netns, '-batch', '-'];
}

function namespaceArgs({ kind, name }: Step & { readonly name: string }): string[] {
  return ['netns', kind === 'add-netns' ? 'add' : 'del', name];
}

function inputOf(step: BatchStep): string {
  return step.kind === 'nft' ? step.text : `${step.lines.join('\n')}\n`;
}

function line(step: Step): string {
  switch (step.kind) {
    case 'ip':
    case 'bridge':
    case 'nft':
      return batchLine(step);
    case 'together':
      return insideLine(step);
    case 'delete-links':
      return step.names.map((name) => deleteLinkLine(name, step.netns)).join('');
    case 'add-netns':
    case 'delete-netns':
    case 'name-host-netns':
    case 'sysctl':
    case 'forget-connections': {
      const netns = netnsOf(step);
      const text = insideLine(step);
      return netns === undefined ? text : `${enter(netns).join(' ')} sh -e -s <<'E'\n${text}E\n`;
    }
    default:
      return unreachable(step);
  }
}

/** The step as shell text for a shell that is already in the right namespace. */
function insideLine(step: Step): string {
  switch (step.kind) {
    case 'add-netns':
    case 'delete-netns':
      return `ip ${namespaceArgs(step).join(' ')}\n`;
    case 'name-host-netns':
      return `[ -e /run/netns/${step.name} ] || ip netns attach ${step.name} $$\n`;
    case 'ip':
    case 'bridge':
      return `${step.kind}${step.family === undefined ? '' : ` -${step.family}`} -batch - <<'E'\n${inputOf(step)}E\n`;
    case 'nft':
      return `nft -f - <<'E'\n${step.text}E\n`;
    case 'together':
      return togetherText(step.steps);
    case 'delete-links':
      return step.names.map((name) => deleteLinkLine(name)).join('');
    case 'sysctl':
      return step.lines.map(sysctlLine).join('');
    case 'forget-connections':
      return forgetText(step.lines);
    default:
      return unreachable(step);
  }
}

function batchLine(step: BatchStep, suffix = ''): string {
  return `${argvOf(step).join(' ')} <<'E'${suffix}\n${inputOf(step)}E\n`;
}

/** All start at once; the shell fails when one of them did, after all have ended. */
function togetherText(steps: readonly BatchStep[]): string {
  const starts = steps.map((step, i) => `${batchLine(step, ' &')}p${i}=$!\n`);
  const waits = steps.map((_, i) => `wait $p${i} || failed=1\n`);
  return ['failed=0\n', ...starts, ...waits, 'test $failed = 0\n'].join('');
}

function deleteLinkLine(name: string, netns?: string): string {
  const ip = netns === undefined ? 'ip' : `ip -n ${netns}`;
  return `${ip} link del ${name} 2>/dev/null || true\n`;
}

function sysctlLine(setting: string): string {
  const [path = '', value = ''] = setting.split('=');
  const optional = path.endsWith('?');
  const file = `/proc/sys/${optional ? path.slice(0, -1) : path}`;
  const write = `echo ${value} > ${file}\n`;
  return optional ? `[ ! -e ${file} ] || ${write}` : write;
}

/**
 * conntrack walks the table of all namespaces: not worth it where no connection is known. The shell
 * reads byte by byte and such a file only ever gives its first: enough to tell 0 from the rest.
 */
function forgetText(lines: readonly string[]): string {
  const commands = lines.map((args) => `  conntrack ${args} >/dev/null 2>&1 || true\n`).join('');
  return [
    'read -r known < /proc/sys/net/netfilter/nf_conntrack_count || true\n',
    `if [ "$known" != 0 ]; then\n${commands}fi\n`,
  ].join('');
}
