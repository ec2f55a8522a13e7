/** A manager: everything of the real one but Raft, disks and sockets. */
import type { Call, Control, Leader, PeerIdentity } from '@swarmd/api';
import { sleep, SwarmError, withDeadline, type Clock, type Ids, type Logger } from '@swarmd/base';
import { asId, type NodeId } from '@swarmd/model';

import { createControl } from '../../control/control.ts';
import { assembleCore, type Core } from '../../core.ts';
import { createLeaderService } from '../../leadership/leader-service.ts';
import type { ManagerClients } from '../../net/peers.ts';
import type { ManagerOptions } from '../../options.ts';
import { SkewedClock } from './sim-clock.ts';
import type { SimGroup } from './sim-group.ts';
import { SimRaft } from './sim-raft.ts';
import type { Dice } from '@swarmd/base/testing';

export const CLUSTER_ID = asId('cluster', 'cluster');
/** Nobody joins, and no certificate is renewed. */
const NOTHING = {} as never;
const LATENCY_MS: readonly [number, number] = [0, 4];
const CALL_MS = 10_000;
/** How long a connection to nowhere is tried. */
const DIAL_MS = 1_000;

export interface ManagerSeat {
  readonly nodeId: NodeId;
  readonly raftId: number;
  readonly address: string;
  /** By how much its clock is ahead. */
  readonly skewMs: number;
}

export interface ManagerWorld {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly group: SimGroup;
  /** How long a turn of the event loop takes. */
  readonly turnMs: readonly [number, number];
  /** The manager at an address, if it is up. */
  readonly managerAt: (address: string) => SimManager | undefined;
  readonly reach: (a: number, b: number) => boolean;
}

export class SimManager implements AsyncDisposable {
  readonly seat: ManagerSeat;
  readonly core: Core;
  readonly control: Control;
  readonly leader: Leader;
  readonly #stack: AsyncDisposableStack;
  isUp = true;

  private constructor(seat: ManagerSeat, core: Core, stack: AsyncDisposableStack) {
    const { options, store, raft, route, leadership } = core;
    this.seat = seat;
    this.core = core;
    this.#stack = stack;
    this.control = createControl({ ...options, store, raft, route });
    this.leader = createLeaderService({ leadership, store, raft, clock: options.clock });
  }

  static async start(world: ManagerWorld, seat: ManagerSeat): Promise<SimManager> {
    const stack = new AsyncDisposableStack();
    const outside = {
      startRaft: (machine: ConstructorParameters<typeof SimRaft>[2]) =>
        Promise.resolve(new SimRaft(world.group, seat.raftId, machine)),
      managerAt: (address: string) => clientsOf(world, seat, address),
      ...(world.turnMs[1] === 0 ? {} : { nextTurn: nextTurnOf(world) }),
    };
    const core = await assembleCore(optionsOf(world, seat), outside, stack);
    return new SimManager(seat, core, stack);
  }

  /** Gone at once, for everybody. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.isUp = false;
    await this.core.raft[Symbol.asyncDispose]();
    await this.#stack.disposeAsync();
  }
}

/** A busy manager: what it puts off to another turn waits for what others ask of it. */
function nextTurnOf({ clock, dice, turnMs }: ManagerWorld): (fn: () => void) => void {
  return (fn) => void clock.after(dice.between(...turnMs), fn);
}

function optionsOf(world: ManagerWorld, seat: ManagerSeat): ManagerOptions {
  return {
    stateDir: '',
    runDir: '',
    clusterId: CLUSTER_ID,
    nodeId: seat.nodeId,
    raftId: seat.raftId,
    start: 'restart',
    identity: { certificatePem: '', keyPem: '', caPem: '' },
    listen: { host: '', port: 0 },
    raftListen: { host: '', port: 0 },
    advertise: { api: seat.address, raft: seat.address },
    clock: new SkewedClock(world.clock, seat.skewMs),
    random: world.dice,
    ids: world.ids,
    logger: world.logger,
  };
}

/** Calls between managers: with latency, lost where the network is. */
function clientsOf(world: ManagerWorld, from: ManagerSeat, address: string): ManagerClients {
  const peer: PeerIdentity = { nodeId: from.nodeId, role: 'manager', clusterId: CLUSTER_ID };
  const call = async <R>(
    caller: Call,
    run: (server: SimManager, call: Call) => Promise<R>,
  ): Promise<R> => {
    const { clock, dice } = world;
    await sleep(clock, dice.between(...LATENCY_MS), caller.signal);
    const server = world.managerAt(address);
    if (server === undefined || !world.reach(from.raftId, server.seat.raftId)) {
      await sleep(clock, server === undefined ? 1 : DIAL_MS, caller.signal);
      throw new SwarmError('unavailable', `${address} cannot be reached`);
    }
    const result = await withDeadline(
      { clock, timeoutMs: caller.timeoutMs ?? CALL_MS, what: 'a call', signal: caller.signal },
      (signal) => run(server, serverSide(caller, peer, signal)),
    );
    await sleep(clock, dice.between(...LATENCY_MS), caller.signal);
    if (server.isUp && world.reach(from.raftId, server.seat.raftId)) return result;
    throw new SwarmError('unknown-outcome', `${address} was lost before it answered`);
  };
  const forward = <T extends object>(pick: (server: SimManager) => T): T =>
    new Proxy({} as T, {
      get: (_target, name) => (request: unknown, caller: Call) =>
        call(caller, (server, on) => {
          type Method = (request: unknown, call: Call) => Promise<unknown>;
          const method = (pick(server) as Record<string | symbol, Method | undefined>)[name];
          return method === undefined
            ? Promise.reject(new SwarmError('unimplemented', `no ${String(name)} here`))
            : method(request, on);
        }),
    });
  return {
    control: forward((server) => server.control),
    leader: forward((server) => server.leader),
    ca: forward<ManagerClients['ca']>(() => NOTHING),
    membership: forward<ManagerClients['membership']>(() => NOTHING),
  };
}

function serverSide(caller: Call, peer: PeerIdentity, signal: AbortSignal): Call {
  const origin = caller.onBehalfOf;
  if (origin === undefined) return { signal, peer };
  return {
    signal,
    forwardedBy: peer,
    local: origin.local,
    ...(origin.peer === undefined ? {} : { peer: origin.peer }),
  };
}
