import { asId, clusterSpec, networkSpec, type OverlayKeys } from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { advanceRing, firstRing, planKeys, type KeyDecision } from '../src/index.ts';
import { World } from './world.ts';

const PERIOD_MS = 100_000;
const NODES = 4;

/** A cluster with an encrypted network, whose nodes get their rings when the test says so. */
class Keys {
  readonly world = new World();
  readonly held = new Map<string, OverlayKeys>();
  readonly #incarnations = new Map<string, number>();
  now = 0;
  #secrets = 0;

  constructor() {
    for (let n = 1; n <= NODES; n += 1) this.world.node(`n${n}`, {});
    this.world.network('back', { options: { encrypted: '' } });
    this.#write(firstRing(this.#making()));
    for (let n = 1; n <= NODES; n += 1) this.deliver(`n${n}`);
  }

  get ring(): OverlayKeys {
    const [cluster] = this.world.view.list('cluster');
    if (cluster?.overlayKeys === undefined) throw new Error('there is no ring');
    return cluster.overlayKeys;
  }

  #making() {
    const secret = (): Uint8Array => new Uint8Array(32).fill((this.#secrets += 1));
    return { secret, now: this.now, periodMs: PERIOD_MS };
  }

  #write(overlayKeys: OverlayKeys): void {
    const [cluster] = this.world.view.list('cluster');
    if (cluster === undefined) throw new Error('there is no cluster');
    const spec = clusterSpec.parse({ ...cluster.spec, overlayKeyPeriodMs: PERIOD_MS });
    this.world.put('cluster', { ...cluster, spec, overlayKeys });
  }

  /** The node programs the newest ring and says so. */
  deliver(name: string): void {
    this.held.set(name, this.ring);
    this.#describe(name, { state: 'ready' });
  }

  down(name: string): void {
    this.#describe(name, { state: 'down' });
  }

  #describe(name: string, { state }: { state: 'ready' | 'down' }): void {
    this.world.node(name, { state });
    const node = this.world.view.get('node', asId('node', name));
    if (node?.description === undefined) throw new Error(`no node ${name}`);
    const incarnation = `boot ${this.#incarnations.get(name) ?? 0}`;
    const newestKey = this.held.get(name)?.keys.at(-1)?.id ?? 0;
    const encryption = { lacks: '', incarnation, newestKey };
    this.world.put('node', { ...node, description: { ...node.description, encryption } });
  }

  decide(): KeyDecision {
    return planKeys(this.world.view, this.now);
  }

  advance(): void {
    this.#write(advanceRing(this.ring, this.#making()));
  }

  ready(): string[] {
    return [...this.world.view.list('node')]
      .filter(({ status }) => status.state === 'ready')
      .map(({ id }) => id);
  }

  /** Sender and receiver that do not understand each other. */
  misunderstandings(): string[] {
    const nodes = this.ready();
    return nodes.flatMap((from) =>
      nodes
        .filter((to) => {
          const sent = this.held.get(from)?.primary;
          return !this.held.get(to)?.keys.some(({ id }) => id === sent);
        })
        .map((to) => `${from} -> ${to}`),
    );
  }
}

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('deliver' as const), node: fc.integer({ min: 1, max: NODES }) }),
    fc.record({ kind: fc.constant('down' as const), node: fc.integer({ min: 1, max: NODES }) }),
    // Less than the patience with nodes that do not get on: what is beyond it has a test of its own.
    fc.record({ kind: fc.constant('later' as const), ms: fc.constantFrom(1, 50_000, 100_000) }),
  ),
  { maxLength: 60 },
);

describe('the keys of encrypted networks', () => {
  it('are such that every pair understands each other, in whatever order they arrive', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const keys = new Keys();
        for (const step of sequence) {
          if (step.kind === 'later') keys.now += step.ms;
          else if (step.kind === 'down') keys.down(`n${step.node}`);
          else keys.deliver(`n${step.node}`);
          const decision = keys.decide();
          if (decision.kind === 'advance' && decision.missing.length === 0) keys.advance();
          expect(keys.misunderstandings()).toEqual([]);
          expect(keys.ring.keys.length).toBeLessThanOrEqual(3);
        }
      }),
    );
  });

  it('go on once every node has the present ones, and not before their time', () => {
    const keys = new Keys();
    expect(keys.decide()).toEqual({ kind: 'wait', until: PERIOD_MS, missing: [] });
    keys.now = PERIOD_MS;
    keys.advance();
    expect(keys.ring).toMatchObject({ primary: 2, keys: [{ id: 1 }, { id: 2 }, { id: 3 }] });
    keys.now = 2 * PERIOD_MS;
    keys.deliver('n1');
    const until = 3 * PERIOD_MS;
    expect(keys.decide()).toEqual({ kind: 'wait', until, missing: ['n2', 'n3', 'n4'] });
    for (const name of ['n2', 'n3']) keys.deliver(name);
    keys.down('n4');
    expect(keys.decide()).toEqual({ kind: 'advance', missing: [] });
    keys.advance();
    expect(keys.ring).toMatchObject({ primary: 3, keys: [{ id: 2 }, { id: 3 }, { id: 4 }] });
  });

  it('go on without a node that does not get them for as long as they last', () => {
    const keys = new Keys();
    keys.now = PERIOD_MS;
    keys.advance();
    keys.now = 3 * PERIOD_MS;
    expect(keys.decide()).toEqual({ kind: 'advance', missing: ['n1', 'n2', 'n3', 'n4'] });
  });

  it('rest while there is nothing to encrypt', () => {
    const keys = new Keys();
    keys.world.tables.network.clear();
    keys.now = 10 * PERIOD_MS;
    expect(keys.decide()).toEqual({ kind: 'rest' });
    expect(networkSpec.parse({ name: 'plain' }).options).toEqual({});
    const [cluster] = keys.world.tables.cluster.values();
    if (cluster === undefined) throw new Error('there is a cluster');
    keys.world.put('cluster', { ...cluster, spec: { ...cluster.spec, encryptMesh: true } });
    expect(keys.decide().kind).not.toBe('rest');
  });
});
