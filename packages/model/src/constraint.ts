/**
 * The language of placement constraints. `key==value` and `key!=value` are Swarm's, compared without
 * regard to case and as a whole; a missing label is the empty text, and an address may be matched by a
 * network. Beyond Swarm: `key in a,b`, `key not in a,b`, `key exists`, `key not exists`, and `key > 5`,
 * `key < 5`, which compare numbers and which no label that is missing or not a number ever meets.
 */
import { ipv4Contains, parseIpv4, parseIpv4Network } from './ipv4.ts';
import type { Node } from './objects.ts';

const OPERATORS = ['==', '!=', '>', '<', 'in', 'not in', 'exists', 'not exists'] as const;
export type ConstraintOperator = (typeof OPERATORS)[number];

export interface Constraint {
  readonly key: string;
  readonly operator: ConstraintOperator;
  /** One for comparisons, any number for sets, none for existence. */
  readonly values: readonly string[];
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

const COMPARISON = /^\s*([^\s=!<>]+)\s*(==|!=|>|<)\s*(.*?)\s*$/;
const MEMBERSHIP = /^\s*(\S+)\s+(in|not\s+in)\s+(\(.*\)|[^()]*?)\s*$/i;
const EXISTENCE = /^\s*(\S+)\s+(exists|not\s+exists)\s*$/i;

/** @returns the constraint, or a sentence that says what is wrong with the text. */
export function parseConstraint(text: string): Constraint | string {
  const match = EXISTENCE.exec(text) ?? MEMBERSHIP.exec(text) ?? COMPARISON.exec(text);
  const [, key, word = '', rest = ''] = match ?? [];
  const operator = OPERATORS.find((one) => one === word.toLowerCase().replaceAll(/\s+/g, ' '));
  if (key === undefined || operator === undefined) {
    return `constraint "${text}" is not of the form key==value, key!=value, key > number, key < number, key in a,b, key not in a,b, key exists or key not exists`;
  }
  const unknown = attributeError(key);
  if (unknown !== undefined) return `constraint "${text}": ${unknown}`;
  const values = valuesOf(operator, rest);
  const fault = valuesError(operator, values, isLabel(key));
  return fault === undefined ? { key, operator, values } : `constraint "${text}" ${fault}`;
}

function valuesOf(operator: ConstraintOperator, text: string): string[] {
  if (operator === 'exists' || operator === 'not exists') return [];
  if (operator !== 'in' && operator !== 'not in') return [text];
  return text
    .replaceAll(/^\(|\)$/g, '')
    .split(',')
    .map((value) => value.trim());
}

function valuesError(
  operator: ConstraintOperator,
  values: readonly string[],
  mayBeEmpty: boolean,
): string | undefined {
  if ((operator === '>' || operator === '<') && !isNumber(values[0] ?? '')) {
    return `compares with "${values[0]}", which is no number`;
  }
  const isSet = operator === 'in' || operator === 'not in';
  if (values.includes('') && (isSet || !mayBeEmpty)) return 'has no value';
  return undefined;
}

/** @returns what is wrong with the name of something a node has, or undefined. */
export function attributeError(key: string): string | undefined {
  if (isLabel(key) || KEYS.includes(key.toLowerCase())) return undefined;
  return `unknown key "${key}"; use one of ${KEYS.join(', ')}, node.labels.NAME, engine.labels.NAME`;
}

function isLabel(key: string): boolean {
  return LABEL_PREFIXES.some((prefix) => key.length > prefix.length && startsWith(key, prefix));
}

export function meetsConstraint(node: Node, constraint: Constraint): boolean {
  const { key, operator, values } = constraint;
  const [value = ''] = values;
  switch (operator) {
    case '==':
    case 'in':
      return values.some((one) => equals(node, key, one));
    case '!=':
    case 'not in':
      return !values.some((one) => equals(node, key, one));
    case 'exists':
      return nodeAttribute(node, key) !== undefined;
    case 'not exists':
      return nodeAttribute(node, key) === undefined;
    case '>':
    case '<': {
      const actual = nodeAttribute(node, key) ?? '';
      if (!isNumber(actual)) return false;
      return operator === '>' ? Number(actual) > Number(value) : Number(actual) < Number(value);
    }
    default:
      // A constraint of a newer version matches nowhere.
      return false;
  }
}

function isNumber(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text);
}

function equals(node: Node, key: string, value: string): boolean {
  const actual = nodeAttribute(node, key) ?? '';
  switch (key.toLowerCase()) {
    case 'node.ip':
      return addressMatches(actual, value);
    case 'node.platform.arch':
      return architectureName(actual) === architectureName(value);
    default:
      return actual.toLowerCase() === value.toLowerCase();
  }
}

/** What the node has under the key; undefined when it has nothing, e.g. no such label. */
export function nodeAttribute(node: Node, key: string): string | undefined {
  for (const [prefix, labels] of [
    ['node.labels.', node.spec.labels],
    ['engine.labels.', node.description?.labels],
  ] as const) {
    if (startsWith(key, prefix)) {
      const name = key.slice(prefix.length);
      return labels !== undefined && Object.hasOwn(labels, name) ? labels[name] : undefined;
    }
  }
  switch (key.toLowerCase()) {
    case 'node.id':
      return node.id;
    case 'node.hostname':
      return node.description?.hostname;
    case 'node.role':
      return node.role;
    case 'node.ip':
      return node.status.address === '' ? undefined : node.status.address;
    case 'node.platform.os':
      return node.description?.platform.os;
    case 'node.platform.arch':
      return node.description?.platform.architecture;
    default:
      return undefined;
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
export function architectureName(name: string): string {
  const lower = name.toLowerCase();
  return { x86_64: 'amd64', x64: 'amd64', aarch64: 'arm64' }[lower] ?? lower;
}

function startsWith(text: string, prefix: string): boolean {
  return text.slice(0, prefix.length).toLowerCase() === prefix;
}
