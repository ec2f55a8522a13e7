/**
 * The one place that knows the order persist -> send -> apply.
 *
 * Inputs are stepped as they come; once per event-loop turn the core is asked what to do. Messages
 * that promise nothing leave at once, in parallel with the write; those that promise durability
 * (votes, acknowledgements, also to ourselves) leave when the write is done.
 */
import type {
  HardState,
  Input,
  Message,
  RaftStateMachine,
  Ready,
  Role,
  SnapshotMeta,
  StepOutcome,
} from '../core/types.ts';
import type { Persister } from './persister.ts';

export interface DriverPorts {
  send(messages: readonly Message[]): void;
  /** What a Ready says about proposals, reads, roles and committed entries. */
  onReady(ready: Ready): void;
  /** A snapshot from the leader is durable. */
  onInstalled(snapshot: SnapshotMeta): void;
  onTurn(): void;
  /** Runs `fn` once the sockets were read: after what has arrived meanwhile. */
  soon(fn: () => void): void;
  /** An assertion of the core failed, or a port threw. */
  onFailure(error: unknown): void;
}

export class Driver {
  readonly #core: RaftStateMachine;
  readonly #ports: DriverPorts;
  #persister: Persister | undefined;
  #scheduled = false;
  #stopped = false;
  role: Role = 'follower';
  leader = 0;
  term: number;

  constructor(core: RaftStateMachine, hard: HardState, ports: DriverPorts) {
    this.#core = core;
    this.#ports = ports;
    this.term = hard.term;
  }

  attach(persister: Persister): void {
    this.#persister = persister;
  }

  step(input: Input): StepOutcome {
    if (this.#stopped) return 'noLeader';
    try {
      return this.#core.step(input);
    } catch (error) {
      this.#fail(error);
      return 'noLeader';
    } finally {
      this.#schedule();
    }
  }

  /** Takes what the core has to say now instead of at the end of the turn. */
  turn(): void {
    if (this.#stopped) return;
    try {
      for (let ready = this.#core.ready(); ready !== null; ready = this.#core.ready()) {
        this.#handle(ready);
      }
      this.#ports.onTurn();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** To be called by the persister, with all that one write made durable. */
  persisted(readys: readonly Ready[]): void {
    const term = Math.max(...readys.map(({ hard }) => hard?.term ?? 0));
    for (const ready of readys) {
      if (ready.snapshot !== undefined) this.#ports.onInstalled(ready.snapshot);
      this.#ports.send(ready.messagesAfterPersist.filter((message) => stillTrue(message, term)));
      this.step({ kind: 'persisted', seq: ready.seq });
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #handle(ready: Ready): void {
    if (ready.soft !== undefined) ({ role: this.role, leader: this.leader } = ready.soft);
    if (ready.hard !== undefined) ({ term: this.term } = ready.hard);
    this.#ports.send(ready.messages);
    this.#persister?.add(ready);
    this.#ports.onReady(ready);
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#ports.soon(() => {
      this.#scheduled = false;
      this.turn();
    });
  }

  #fail(error: unknown): void {
    this.#stopped = true;
    this.#ports.onFailure(error);
  }
}

/**
 * What was received in an earlier term may have been replaced before it was ever on the disk, by what
 * came in the same write from the leader of a later one; nobody is told that it is there.
 */
function stillTrue(message: Message, term: number): boolean {
  return message.kind !== 'appendReply' || message.reject || message.term >= term;
}
