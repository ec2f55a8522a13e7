export { Backoff, type BackoffOptions } from './backoff.ts';
export { ControlLoop, type ControlLoopOptions, type ReconcileResult } from './control-loop.ts';
export {
  assert,
  AssertionError,
  errorCode,
  errorMessage,
  SwarmError,
  unreachable,
  type ErrorCode,
} from './errors.ts';
export {
  silentLogger,
  type Clock,
  type Ids,
  type Logger,
  type Random,
  type Timer,
} from './ports.ts';
export { Journal } from './journal.ts';
export { BoundedQueue } from './queue.ts';
export { disposeOnFailure, Scope } from './scope.ts';
export { Slots } from './slots.ts';
export { microTimeText, timeText } from './time-text.ts';
export { TurnQueue, type NextTurn } from './turn-queue.ts';
export { abortReason, eitherSignal, every, orAborted, sleep, withDeadline } from './wait.ts';
export { workThrough } from './work-through.ts';
