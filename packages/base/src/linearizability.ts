/**
 * Whether a history of concurrent operations could be the story of one object that does one thing at a
 * time (Wing and Gong's search with Lowe's memory of what was tried; "Testing for linearizability",
 * 2017). Pure.
 */

/** What the object is: `step` gives the state after an operation, or undefined if it cannot be so. */
export interface SequentialModel<S, I> {
  readonly initial: S;
  step(state: S, operation: I): S | undefined;
  /** Equal states have equal texts. */
  keyOf(state: S): string;
}

export interface Operation<I> {
  /** When it was asked for and when its outcome was known, of one clock. */
  readonly invoked: number;
  /** Undefined: the outcome is unknown; it may take effect at any later time, or never. */
  readonly completed?: number | undefined;
  /** What was asked for and what was answered. */
  readonly input: I;
}

export type Verdict<I> =
  | { readonly kind: 'linearizable' }
  /** No order explains `operation` beside what was going on while it was. */
  | { readonly kind: 'violation'; readonly operation: Operation<I> }
  /** So many steps did not decide it. */
  | { readonly kind: 'undecided' };

const STEPS_MAX = 2_000_000;

interface Head<I> {
  next: Mark<I> | undefined;
}

/** A call, or the end of one. A doubly linked list, so that a call is taken out and put back at once. */
interface Mark<I> {
  readonly operation: Operation<I>;
  readonly bit: bigint;
  /** Of a call whose end is known. */
  end: Mark<I> | undefined;
  readonly isCall: boolean;
  previous: Head<I> | undefined;
  next: Mark<I> | undefined;
}

const endOf = <I>(mark: Mark<I>): number => mark.operation.completed ?? Infinity;

export function checkLinearizable<S, I>(
  model: SequentialModel<S, I>,
  operations: readonly Operation<I>[],
): Verdict<I> {
  const head = marksOf(operations);
  const tried = new Set<string>();
  const taken: { readonly call: Mark<I>; readonly before: S }[] = [];
  let state = model.initial;
  let done = 0n;
  let furthest: Mark<I> | undefined;
  let mark = head.next;
  for (let steps = 0; steps < STEPS_MAX; steps += 1) {
    // Only calls of unknown outcome are left: they need not have happened.
    if (mark === undefined) return { kind: 'linearizable' };
    if (mark.isCall) {
      const after = model.step(state, mark.operation.input);
      const key = after === undefined ? '' : `${done | mark.bit}/${model.keyOf(after)}`;
      if (after === undefined || tried.has(key)) {
        mark = mark.next;
        continue;
      }
      tried.add(key);
      taken.push({ call: mark, before: state });
      state = after;
      done |= mark.bit;
      takeOut(mark);
      mark = head.next;
      continue;
    }
    if (furthest === undefined || endOf(furthest) < endOf(mark)) furthest = mark;
    const last = taken.pop();
    if (last === undefined) return { kind: 'violation', operation: furthest.operation };
    state = last.before;
    done ^= last.call.bit;
    putBack(last.call);
    mark = last.call.next;
  }
  return { kind: 'undecided' };
}

/** Calls and ends in the order of time; at the same moment a call comes first, which allows more. */
function marksOf<I>(operations: readonly Operation<I>[]): Head<I> {
  const marks: { readonly at: number; readonly mark: Mark<I> }[] = [];
  for (const [index, operation] of operations.entries()) {
    const bit = 1n << BigInt(index);
    const make = (isCall: boolean): Mark<I> => ({
      operation,
      bit,
      end: undefined,
      isCall,
      previous: undefined,
      next: undefined,
    });
    const call = make(true);
    marks.push({ at: operation.invoked, mark: call });
    if (operation.completed === undefined) continue;
    call.end = make(false);
    marks.push({ at: operation.completed, mark: call.end });
  }
  marks.sort((a, b) => a.at - b.at || Number(b.mark.isCall) - Number(a.mark.isCall));
  const head: Head<I> = { next: undefined };
  let last: Head<I> = head;
  for (const { mark } of marks) {
    last.next = mark;
    mark.previous = last;
    last = mark;
  }
  return head;
}

function takeOut<I>(call: Mark<I>): void {
  unlink(call);
  if (call.end !== undefined) unlink(call.end);
}

function putBack<I>(call: Mark<I>): void {
  if (call.end !== undefined) link(call.end);
  link(call);
}

function unlink<I>(mark: Mark<I>): void {
  if (mark.previous !== undefined) mark.previous.next = mark.next;
  if (mark.next !== undefined) mark.next.previous = mark.previous;
}

function link<I>(mark: Mark<I>): void {
  if (mark.previous !== undefined) mark.previous.next = mark;
  if (mark.next !== undefined) mark.next.previous = mark;
}

/** One register that is read, and changed only by whoever names what it holds. */
export type RegisterOperation =
  | { readonly kind: 'read'; readonly value: string }
  | { readonly kind: 'change'; readonly from: string; readonly to: string };

export function register(initial: string): SequentialModel<string, RegisterOperation> {
  return {
    initial,
    step: (state, operation) => {
      if (operation.kind === 'read') return operation.value === state ? state : undefined;
      return operation.from === state ? operation.to : undefined;
    },
    keyOf: (state) => state,
  };
}
