/** The real event loop's turns. */
import { TurnQueue, type NextTurn } from '../turn-queue.ts';
import { systemClock } from './clock.ts';

/** Gives all who share it turns of at most `turnMs`, and what they had begun by then. */
export function systemTurns(turnMs: number): NextTurn {
  const turns = new TurnQueue({
    clock: systemClock,
    turnMs,
    turn: setImmediate,
    // Ticks run when the microtasks before them are done; one that is asked for by a tick would not.
    settled: (next) => queueMicrotask(() => process.nextTick(next)),
  });
  return (work) => turns.add(work);
}
