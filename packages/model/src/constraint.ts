/**
 * The language of placement constraints: `key==value` and `key!=value`, compared without regard to
 * case and as a whole. Keys and meanings are Swarm's: a missing label is the empty text, and an
 * address may be matched by a network.
 */
import { ipv4Contains, parseIpv4, parseIpv4Network } from './ipv4.ts';
import type { Node } from './objects.ts';

export interface Constraint {
  readonly key: string;
  readonly operator: '==' | '!=';
  readonly value: string;
}

const KEYS = [
  'node.id',
  'node.hostname',
  'node.role',
  'node.ip',
  'node.platform.os',
  'node.platform.arch',
];
const LABEL_PREFIXES = ['node.labels.', 'engine.labels.'];

/** @returns the constraint, or a sentence that says what is wrong with the text. */
export function parseConstraint(text: string): Constraint | string {
  const match = /^\s*([^\s=!]+)\s*(==|!=)\s*(.*?)\s*$/.exec(text);
  const [, key, operator, value] = match ?? [];
  if (key === undefined || value === undefined || (operator !== '==' && operator !== '!=')) {
    return `constraint "${text}" is not of the form key==value or key!=value`;
  }
  const isLabel = LABEL_PREFIXES.some(
    (prefix) => key.length > prefix.length && startsWith(key, prefix),
  );
  if (!isLabel && !KEYS.includes(key.toLowerCase())) {
    return `constraint "${text}": unknown key "${key}"; use one of ${KEYS.join(', ')}, node.labels.NAME, engine.labels.NAME`;
  }
  if (value === '' && !isLabel) return `constraint "${text}" has no value`;
  return { key, operator, value };
}

export function meetsConstraint(node: Node, constraint: Constraint): boolean {
  return matches(node, constraint) === (constraint.operator === '==');
}

function matches(node: Node, { key, value }: Constraint): boolean {
  if (key.toLowerCase() === 'node.ip') return addressMatches(node.status.address, value);
  const actual = valueOf(node, key);
  if (key.toLowerCase() === 'node.platform.arch') {
    return architecture(actual) === architecture(value);
  }
  return actual.toLowerCase() === value.toLowerCase();
}

function valueOf(node: Node, key: string): string {
  for (const [prefix, labels] of [
    ['node.labels.', node.spec.labels],
    ['engine.labels.', node.description?.labels],
  ] as const) {
    if (startsWith(key, prefix)) return labels?.[key.slice(prefix.length)] ?? '';
  }
  switch (key.toLowerCase()) {
    case 'node.id':
      return node.id;
    case 'node.hostname':
      return node.description?.hostname ?? '';
    case 'node.role':
      return node.role;
    case 'node.platform.os':
      return node.description?.platform.os ?? '';
    case 'node.platform.arch':
      return node.description?.platform.architecture ?? '';
    default:
      return '';
  }
}

function addressMatches(address: string, value: string): boolean {
  const network = parseIpv4Network(value);
  const number = parseIpv4(address);
  return network === undefined || number === undefined
    ? address === value
    : ipv4Contains(network, number);
}

/** The kernel's and the image format's words for the same machines. */
function architecture(name: string): string {
  const lower = name.toLowerCase();
  return { x86_64: 'amd64', x64: 'amd64', aarch64: 'arm64' }[lower] ?? lower;
}

function startsWith(text: string, prefix: string): boolean {
  return text.slice(0, prefix.length).toLowerCase() === prefix;
}
