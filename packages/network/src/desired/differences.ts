/** What a host's network lacks and has too much, in the words of the programs that show it. */
import { MEMORY_PREFIX } from './balance.ts';
import type { KernelObject, KernelObjects } from './kernel-object.ts';

/** Devices, entries, routes and rules of `wanted` that are not there, and those nobody wants. */
export function objectDifferences(current: KernelObjects, wanted: KernelObjects): string[] {
  const differences: string[] = [];
  for (const [key, object] of wanted) {
    const found = current.get(key);
    if (found === undefined) differences.push(`missing: ${describe(object)}`);
    else if (describe(found) !== describe(object)) {
      differences.push(`different: ${describe(found)}`, `    wanted: ${describe(object)}`);
    }
  }
  for (const [key, object] of current) {
    if (!wanted.has(key)) differences.push(`unexpected: ${describe(object)}`);
  }
  return differences;
}

function describe(object: KernelObject): string {
  // What is not ours to make is only known by what it is.
  if (object.put.length === 0) return object.key;
  return withoutKeys(object.put.map((statement) => statement.line).join('; '));
}

/** Of IPsec states the keys are for the kernel only. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/0x[0-9a-f]{40}/g, '(key)');
}

/** The objects in the words that make them. */
export function objectStatements(objects: KernelObjects): string[] {
  return [...objects.values()].map(describe);
}

/** The same of two listings of an nft table; the order of what is in them does not count. */
export function listingDifferences(
  current: string,
  wanted: string,
  isMeant: (statement: string) => boolean,
): string[] {
  const found = new Set(listingStatements(current).filter(isMeant));
  const asked = new Set(listingStatements(wanted).filter(isMeant));
  return [
    ...[...asked].filter((one) => !found.has(one)).map((one) => `missing: ${one}`),
    ...[...found].filter((one) => !asked.has(one)).map((one) => `unexpected: ${one}`),
  ];
}

/** "chain nat_out: ip daddr vmap @vip4"; elements of sets and maps are one statement each. */
export function listingStatements(listing: string): string[] {
  const found = new Set<string>();
  let block = '';
  let family = '';
  for (const line of listing.split('\n').map((text) => text.trim())) {
    const [, kind, name] = /^(table ip6?|chain|map|set) (\S+) \{$/.exec(line) ?? [];
    if (kind !== undefined) {
      if (kind.startsWith('table')) family = kind === 'table ip6' ? 'ip6 ' : '';
      block = `${family}${kind} ${name}`;
      if (!kind.startsWith('table')) found.add(block);
    } else if (line !== '' && line !== '}' && !isMemory(block, line)) {
      for (const part of /^(ip6 )?chain/.test(block) ? [line] : elements(line)) {
        found.add(`${block}: ${part}`);
      }
    }
  }
  return [...found];
}

/** What the kernel remembers of clients is nobody's wish. */
function isMemory(block: string, line: string): boolean {
  return block.includes(`set ${MEMORY_PREFIX}`) && !/^(type|size|flags|timeout) /.test(line);
}

function elements(line: string): string[] {
  return line
    .replace(/^elements = \{/, '')
    .replace(/\}$/, '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
