/** A core that tells the judge of everything it does. */
import type {
  ConfState,
  Entry,
  HardState,
  Input,
  RaftStateMachine,
  Ready,
  Status,
  StepOutcome,
} from '../../core/types.ts';

export interface CoreObserver {
  stepped(): void;
  /** What a Ready wants written; `termBefore` of the entry just before. */
  wrote(ready: Ready, termBefore: number | undefined): void;
  durable(hard: HardState): void;
}

export class ObservedCore implements RaftStateMachine {
  readonly #core: RaftStateMachine;
  readonly #durableTerm: (index: number) => number | undefined;
  readonly #observer: CoreObserver;
  /** Terms of entries on their way to the disk. */
  readonly #unwritten = new Map<number, number>();
  readonly #waiting = new Map<number, Ready>();

  constructor(
    core: RaftStateMachine,
    durableTerm: (index: number) => number | undefined,
    observer: CoreObserver,
  ) {
    this.#core = core;
    this.#durableTerm = durableTerm;
    this.#observer = observer;
  }

  step(input: Input): StepOutcome {
    const outcome = this.#core.step(input);
    if (input.kind === 'persisted') this.#persisted(input.seq);
    this.#observer.stepped();
    return outcome;
  }

  ready(): Ready | null {
    const ready = this.#core.ready();
    if (ready !== null) this.#handed(ready);
    return ready;
  }

  status(): Status {
    return this.#core.status();
  }

  confState(): ConfState {
    return this.#core.confState();
  }

  /** The log as of the last Ready, durable or not. Beyond its end it may show what was replaced. */
  termOf(index: number): number | undefined {
    return this.#unwritten.get(index) ?? this.#durableTerm(index);
  }

  #handed(ready: Ready): void {
    const { append, snapshot, seq } = ready;
    if (snapshot) {
      this.#unwritten.clear();
      this.#unwritten.set(snapshot.index, snapshot.term);
    }
    const [first] = append;
    this.#observer.wrote(ready, first && this.termOf(first.index - 1));
    this.#expect(append);
    this.#waiting.set(seq, ready);
    this.#observer.stepped();
  }

  #expect(append: readonly Entry[]): void {
    const from = append[0]?.index ?? Infinity;
    for (const index of this.#unwritten.keys()) if (index >= from) this.#unwritten.delete(index);
    for (const { index, term } of append) this.#unwritten.set(index, term);
  }

  #persisted(seq: number): void {
    const ready = this.#waiting.get(seq);
    this.#waiting.delete(seq);
    if (ready === undefined) return;
    if (ready.snapshot) this.#unwritten.delete(ready.snapshot.index);
    for (const { index, term } of ready.append) {
      if (this.#unwritten.get(index) === term) this.#unwritten.delete(index);
    }
    if (ready.hard) this.#observer.durable(ready.hard);
  }
}
