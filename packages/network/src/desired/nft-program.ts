/**
 * An nft table as a value: a fixed part, chains of rules and elements of named sets and maps. Only
 * chains, their sets and elements change while the table lives, so a change is one small transaction.
 */
import { NFT_TABLE } from './names.ts';

export type NftFamily = 'ip' | 'ip6';

export interface NftProgram {
  readonly family: NftFamily;
  /** Declarations of sets, maps and base chains: what stands between `table ip T {` and `}`. */
  readonly fixed: string;
  /** Chain name -> its rules. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Sets that come and go with chains: name -> declaration. The kernel fills them. */
  readonly sets: ReadonlyMap<string, string>;
  /** Set or map name -> key -> value ('' in sets). A value may jump to one of `chains`. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** "ip swarmd" */
export function tableOf({ family }: Pick<NftProgram, 'family'>): string {
  return `${family} ${NFT_TABLE}`;
}

/** Replaces the whole table in one transaction; connections that are established live on. */
export function replaceProgram(program: NftProgram): string {
  const T = tableOf(program);
  return `add table ${T}\ndelete table ${T}\n${loadProgram(program)}`;
}

/**
 * For a namespace without the table. Anything that deletes makes nft wait some 15 ms for the
 * kernel's readers, which is as long as the whole rest of an attach.
 */
export function loadProgram(program: NftProgram): string {
  const T = tableOf(program);
  return [
    `table ${T} {`,
    program.fixed,
    '}',
    ...[...program.sets].map(([name, declaration]) => `add set ${T} ${name} ${declaration}`),
    ...[...program.chains.keys()].map((name) => `add chain ${T} ${name}`),
    ...[...program.chains].flatMap(([name, rules]) => addRules(T, name, rules)),
    ...elementLines(`add element ${T}`, program.elements),
    '',
  ].join('\n');
}

/** The transaction that turns a table with program `before` into one with `next`; '' if equal. */
export function diffProgram(before: NftProgram, next: NftProgram): string {
  if (before.fixed !== next.fixed) return replaceProgram(next);
  const T = tableOf(next);
  const added = [...next.chains.keys()].filter((name) => !before.chains.has(name));
  const removed = [...before.chains.keys()].filter((name) => !next.chains.has(name));
  const changed = [...next.chains].filter(([name, rules]) => {
    const known = before.chains.get(name) ?? [];
    return rules !== known && rules.join('\n') !== known.join('\n');
  });
  const changedSets = [...next.sets].filter(([name, text]) => before.sets.get(name) !== text);
  // A set cannot be changed: with another declaration the table is made anew.
  if (changedSets.some(([name]) => before.sets.has(name))) return replaceProgram(next);
  const lines = [
    ...elementLines(`delete element ${T}`, elementsWithout(before.elements, next.elements)),
    ...changedSets.map(([name, text]) => `add set ${T} ${name} ${text}`),
    ...added.map((name) => `add chain ${T} ${name}`),
    ...changed
      .filter(([name]) => before.chains.has(name))
      .map(([name]) => `flush chain ${T} ${name}`),
    ...changed.flatMap(([name, rules]) => addRules(T, name, rules)),
    ...elementLines(`add element ${T}`, elementsWithout(next.elements, before.elements)),
    ...removed.map((name) => `flush chain ${T} ${name}`),
    ...removed.map((name) => `delete chain ${T} ${name}`),
    ...[...before.sets.keys()]
      .filter((name) => !next.sets.has(name))
      .map((name) => `delete set ${T} ${name}`),
  ];
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function addRules(table: string, chain: string, rules: readonly string[]): string[] {
  return rules.map((rule) => `add rule ${table} ${chain} ${rule}`);
}

/** Elements of `some` that `other` lacks or has with another value. */
function elementsWithout(
  some: NftProgram['elements'],
  other: NftProgram['elements'],
): NftProgram['elements'] {
  return new Map(
    [...some].map(([set, elements]) => [
      set,
      new Map([...elements].filter(([key, value]) => other.get(set)?.get(key) !== value)),
    ]),
  );
}

function elementLines(verb: string, sets: NftProgram['elements']): string[] {
  return [...sets].flatMap(([set, elements]) => {
    if (elements.size === 0) return [];
    const items = [...elements].map(([key, value]) =>
      verb.startsWith('delete') || value === '' ? key : `${key} : ${value}`,
    );
    return [`${verb} ${set} { ${items.join(', ')} }`];
  });
}
