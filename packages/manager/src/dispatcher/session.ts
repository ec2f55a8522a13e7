/** One agent's stream: what it says is kept, what it must know is sent. Ends with its signal. */
import type { AgentMessage, LiveNode, ManagerMessage, TaskUsage } from '@swarmd/api';
import {
  abortReason,
  eitherSignal,
  Scope,
  SwarmError,
  withDeadline,
  type Clock,
} from '@swarmd/base';
import type { NodeId } from '@swarmd/model';

import { HELLO_WAIT_MS } from '../limits.ts';
import type { Outbox } from './outbox.ts';
import type { StatusRelay } from './status-relay.ts';

export type Hello = Extract<AgentMessage, { kind: 'hello' }>;

export interface SessionEvents {
  /** Its description changed. */
  readonly onNews: () => void;
  /** Its network has come further. */
  readonly onApplied: () => void;
  /** What its tasks use. */
  readonly onUsage: (tasks: readonly TaskUsage[]) => void;
  /** The node restarts on purpose. Resolves when the leader has taken note. */
  readonly onGoodbye: (signal: AbortSignal) => Promise<void>;
}

export class Session {
  readonly nodeId: NodeId;
  readonly outbox: Outbox;
  /** Monotonic milliseconds of its last message. */
  heardAt: number;
  /** `heardAt` of the last report that the leader took. */
  toldAt = Number.NEGATIVE_INFINITY;
  /** True until the leader has taken note of the description. */
  descriptionIsNews = true;
  /** It is on its way to the leader. */
  isBeingDescribed = false;
  readonly #clock: Clock;
  readonly #relay: StatusRelay;
  readonly #ended = new AbortController();
  #signal = this.#ended.signal;
  #hello: Hello;
  #isLeaving = false;

  constructor(options: {
    nodeId: NodeId;
    clock: Clock;
    hello: Hello;
    outbox: Outbox;
    relay: StatusRelay;
  }) {
    this.nodeId = options.nodeId;
    this.outbox = options.outbox;
    this.#clock = options.clock;
    this.#hello = options.hello;
    this.#relay = options.relay;
    this.heardAt = this.#clock.monotonic();
  }

  /** It has said goodbye: it is not to be reported as heard any more. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** As the leader should hear of it. */
  live(): LiveNode {
    const { address, agentAddress, description } = this.#hello;
    return {
      nodeId: this.nodeId,
      address,
      agentAddress,
      ...(this.descriptionIsNews ? { description } : {}),
    };
  }

  end(reason: Error): void {
    this.#ended.abort(reason);
  }

  /** Runs the session over its stream until either side ends it. */
  begin(
    messages: AsyncIterator<AgentMessage>,
    options: SessionEvents & { signal: AbortSignal },
  ): Disposable {
    const either = eitherSignal(options.signal, this.#ended.signal);
    const scope = new Scope((_name, error) =>
      this.end(error instanceof Error ? error : new SwarmError('internal', String(error))),
    );
    this.#signal = either.signal;
    either.signal.addEventListener('abort', () => this.outbox.onNews(), { once: true });
    scope.spawn('statuses', (stopped) => this.#relay.run(stopped));
    scope.spawn('messages', (stopped) => this.#read(messages, stopped, options));
    return {
      [Symbol.dispose]: () => {
        either[Symbol.dispose]();
        // Reading ends with the stream; waiting for it here would wait for the agent.
        void scope[Symbol.asyncDispose]();
      },
    };
  }

  /**
   * What the agent is to be told next, for one reader. Rejects with why the session has ended, after `onOver`.
   * Nothing but the promise waits meanwhile: thousands of sessions do for most of the time.
   */
  next(onOver: () => void): Promise<IteratorYieldResult<ManagerMessage>> {
    return new Promise((resolve, reject) => {
      this.outbox.onNews = () => {
        const value = this.outbox.next();
        const isOver = value === undefined && this.#signal.aborted;
        if (value === undefined && !isOver) return;
        this.outbox.onNews = nothing;
        if (value !== undefined) resolve({ done: false, value });
        else {
          onOver();
          reject(abortReason(this.#signal));
        }
      };
      this.outbox.onNews();
    });
  }

  /** Resolves when the session is over. Callbacks instead of a loop that awaits, as each wait would make its own. */
  #read(
    messages: AsyncIterator<AgentMessage>,
    signal: AbortSignal,
    options: SessionEvents,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const read = (): void => void messages.next().then(hear, reject);
      const hear = (next: IteratorResult<AgentMessage>): void => {
        try {
          if (signal.aborted) resolve();
          else if (next.done === true) {
            this.end(new SwarmError('cancelled', 'the agent closed its session'));
            resolve();
          } else {
            const taken = this.#take(next.value, signal, options);
            if (taken === undefined) read();
            else taken.then((isOver) => (isOver ? resolve() : read()), reject);
          }
        } catch (error) {
          reject(error);
        }
      };
      read();
    });
  }

  /** @returns what is to be waited for before the next message is read: whether there is a next one. */
  #take(
    message: AgentMessage,
    signal: AbortSignal,
    options: SessionEvents,
  ): Promise<boolean> | undefined {
    this.heardAt = this.#clock.monotonic();
    switch (message.kind) {
      case 'hello':
        this.#hello = message;
        this.descriptionIsNews = true;
        options.onNews();
        return undefined;
      case 'goodbye':
        this.#isLeaving = true;
        return options.onGoodbye(signal).then(() => {
          this.end(new SwarmError('cancelled', 'the agent said goodbye'));
          return true;
        });
      case 'heartbeat':
        this.outbox.answerHeartbeat();
        return undefined;
      case 'statuses':
        return this.#relay.add(message, signal)?.then(() => false);
      case 'applied':
        this.outbox.confirm(message.version);
        options.onApplied();
        return undefined;
      case 'usage':
        options.onUsage(message.tasks);
        return undefined;
      default:
        return undefined;
    }
  }
}

const nothing = (): void => undefined;

/** @throws SwarmError `invalid-argument` when the agent starts with something else. */
export async function receiveHello(
  messages: AsyncIterator<AgentMessage>,
  options: { clock: Clock; signal: AbortSignal },
): Promise<Hello> {
  const first = await withDeadline(
    { ...options, timeoutMs: HELLO_WAIT_MS, what: 'waiting for the hello of a session' },
    () => messages.next(),
  );
  if (first.done !== true && first.value.kind === 'hello') return first.value;
  throw new SwarmError('invalid-argument', 'the first message of a session must be hello');
}
