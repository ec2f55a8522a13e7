/** Generic resources: what nodes are configured to have, named or counted, and who holds what. */
import type { GenericResource, Node, TaskSpec } from '@swarmd/model';

import type { Tally } from './tally.ts';

type Reservations = TaskSpec['reservations']['generic'];

/** How many of a kind are held, by "kind"; who holds a named one, by "kind=name". */
export type GenericUse = Pick<Tally, 'get' | 'has'>;

export function genericKeys({ kind, count, names }: GenericResource): [key: string, n: number][] {
  return [[kind, count], ...names.map((name): [string, number] => [nameKey(kind, name), 1])];
}

function nameKey(kind: string, name: string): string {
  return `${kind}=${name}`;
}

/** The first kind of which the node has not enough left; undefined when all is there. */
export function missingGeneric(
  node: Node,
  usage: { readonly generic: GenericUse },
  wanted: Reservations,
): string | undefined {
  for (const { kind, count } of wanted) {
    if (count > freeGeneric(node, usage, kind)) return kind;
  }
  return undefined;
}

/** How many of a kind nobody holds. */
export function freeGeneric(
  node: Node,
  usage: { readonly generic: GenericUse },
  kind: string,
): number {
  return (resourceOf(node, kind)?.count ?? 0) - usage.generic.get(kind);
}

/** What a task with these reservations gets: the first free names, where there are names. */
export function claimGeneric(
  node: Node,
  usage: { readonly generic: GenericUse },
  wanted: Reservations,
): GenericResource[] {
  return wanted.map(({ kind, count }) => ({
    kind,
    count,
    names: (resourceOf(node, kind)?.names ?? [])
      .filter((name) => !usage.generic.has(nameKey(kind, name)))
      .slice(0, count),
  }));
}

function resourceOf(node: Node, kind: string): GenericResource | undefined {
  return node.description?.resources.generic.find((one) => one.kind === kind);
}
