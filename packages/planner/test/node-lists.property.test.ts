/** Numbers of nodes, and which nodes are open, are followed: they must be what counting all nodes gives. */
import { Journal } from '@swarmd/base';
import {
  asId,
  meetsConstraint,
  parseConstraint,
  serviceSpec,
  type Node,
  type NodeId,
  type TaskSpec,
} from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { pictureOf } from '../src/assign/picture.ts';
import { allocateNode } from '../src/index.ts';
import { heldIndex } from '../src/place/held-index.ts';
import type { AssignView, PlanView } from '../src/types.ts';
import { World } from './world.ts';

const NODES = 8;

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      at: fc.nat(NODES),
      state: fc.constantFrom('ready', 'ready', 'down' as const),
      availability: fc.constantFrom('active', 'active', 'pause', 'drain' as const),
      zone: fc.constantFrom('a', 'b'),
      address: fc.constantFrom<string[]>('', '10.0.0.1', '10.0.0.2', '10.0.1.1', 'fd00::1'),
      incarnation: fc.constantFrom<string[]>('', 'first', 'second'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), at: fc.nat(NODES) }) },
  // Writes of a transaction may be undone and others made before anybody looks: numbers pass on.
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('swap' as const),
      at: fc.nat(NODES),
      with: fc.nat(NODES),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('move' as const),
      at: fc.nat(NODES),
      to: fc.integer({ min: 20, max: 30 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('look' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const CONSTRAINTS = [
  [],
  ['node.labels.zone == a'],
  ['node.labels.zone != a', 'node.hostname != n3'],
];

function specWith(constraints: readonly string[]): TaskSpec {
  const task = { container: { image: 'a' }, placement: { constraints: [...constraints] } };
  return serviceSpec.parse({ name: 'g', mode: { kind: 'global' }, task }).task;
}

class Nodes {
  readonly world = new World();
  readonly view: AssignView;
  readonly #journal: Journal<NodeId>;

  /** `kept`: changes that the view remembers; 0: it does not tell which nodes changed. */
  constructor(kept: number) {
    this.#journal = new Journal(Math.max(1, kept));
    const nodesWrittenSince: PlanView['nodesWrittenSince'] = (mark) => this.#journal.since(mark);
    this.view =
      kept === 0
        ? this.world.view
        : Object.assign(Object.create(this.world.view) as AssignView, { nodesWrittenSince });
  }

  all(): Node[] {
    return [...this.world.tables.node.values()];
  }

  play(one: Exclude<Step, { kind: 'look' }>): void {
    const id = asId('node', `n${one.at}`);
    if (one.kind === 'write') {
      const { zone, incarnation, kind: _kind, at: _at, ...options } = one;
      const node = this.world.node(id, { ...options, lacks: '', labels: { zone } });
      const { description } = node;
      const encryption = { lacks: '', incarnation, newestKey: 0 };
      if (description === undefined) return;
      this.world.put('node', { ...node, description: { ...description, encryption } });
      this.#journal.note(id);
      return;
    }
    const node = this.world.tables.node.get(id);
    if (node === undefined) return;
    if (one.kind === 'remove') {
      this.world.tables.node.delete(id);
      this.world.version += 1;
      this.#journal.note(id);
    } else if (one.kind === 'move') {
      const isTaken = this.all().some(({ index }) => index === one.to);
      if (!isTaken) this.#renumber(node, one.to);
    } else {
      const other = this.world.tables.node.get(asId('node', `n${one.with}`));
      if (other === undefined) return;
      this.#renumber(node, other.index);
      this.#renumber(other, node.index);
    }
  }

  #renumber(node: Node, index: number): void {
    this.world.tables.node.set(node.id, { ...node, index });
    this.world.version += 1;
    this.#journal.note(node.id);
  }
}

function compare(nodes: Nodes): void {
  const [view, all] = [nodes.view, nodes.all()];
  const now = pictureOf(view);
  const anew = pictureOf(Object.create(view) as AssignView);
  for (const list of ['peers', 'nodes', 'encryptedPeers'] as const) {
    expect(now[list]).toEqual(anew[list]);
  }
  compareNumbers(view, all);
}

function compareNumbers(view: PlanView, all: readonly Node[]): void {
  const { numbers, memos } = heldIndex(view);
  const byNumber = new Map(all.map(({ index, id }) => [index, id]));
  let free = 1;
  while (byNumber.has(free)) free += 1;
  expect(numbers.lowestFree()).toBe(free);
  const allocation = allocateNode(view);
  expect(allocation.kind === 'allocated' && allocation.value.index).toBe(free);
  for (let at = 0; at <= 40; at += 1) expect(numbers.holderOf(at)).toBe(byNumber.get(at));
  for (const constraints of CONSTRAINTS) {
    const open = all.filter(
      (node) =>
        node.status.state === 'ready' &&
        node.spec.availability === 'active' &&
        constraints.every((text) => {
          const parsed = parseConstraint(text);
          return typeof parsed !== 'string' && meetsConstraint(node, parsed);
        }),
    );
    const expected = open.map(({ index }) => index).toSorted((a, b) => a - b);
    expect(memos.suitable(view, specWith(constraints))).toEqual(expected);
  }
}

describe('lists of nodes that are kept', () => {
  it.each([
    ['by a view that tells what changed', 1_000],
    ['by one that remembers little', 3],
    ['by one that tells nothing', 0],
  ])('are those of counting all nodes, %s', (_what, kept) => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const nodes = new Nodes(kept);
        for (const one of steps) {
          if (one.kind === 'look') compare(nodes);
          else nodes.play(one);
        }
        compare(nodes);
      }),
      { numRuns: 60 },
    );
  });

  it('stay the same lists while nothing in them changes', () => {
    const nodes = new Nodes(100);
    for (const at of [1, 2]) nodes.play({ ...WELL, at, address: `10.0.0.${at}` });
    const before = pictureOf(nodes.view);
    nodes.play({ ...WELL, at: 1, address: '10.0.0.1', availability: 'drain' });
    const drained = pictureOf(nodes.view);
    expect(drained).not.toBe(before);
    expect(drained.peers).toBe(before.peers);
    expect(drained.nodes).toBe(before.nodes);
    nodes.play({ ...WELL, at: 2, address: '10.0.0.3' });
    const moved = pictureOf(nodes.view);
    expect(moved.peers[0]).toBe(before.peers[0]);
    expect(moved.peers[1]).toMatchObject({ nodeId: 'n2', address: '10.0.0.3' });
    expect(moved.nodes).toEqual(['10.0.0.1,3']);
  });
});

const WELL = {
  kind: 'write',
  state: 'ready',
  availability: 'active',
  zone: 'a',
  incarnation: '',
} as const;
