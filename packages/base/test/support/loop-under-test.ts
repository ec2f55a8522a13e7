/** A control loop whose runs end when the test says so. */
import {
  ControlLoop,
  silentLogger,
  type ControlLoopOptions,
  type ReconcileResult,
} from '../../src/index.ts';
import { ManualClock, SeededRandom } from '../../src/testing.ts';

interface Run {
  readonly key: string;
  readonly signal: AbortSignal;
  readonly end: (outcome: ReconcileResult | Error) => void;
}

export class LoopUnderTest {
  readonly clock = new ManualClock();
  readonly loop: ControlLoop;
  /** Keys in the order in which their runs started. */
  readonly started: string[] = [];
  #runs: Run[] = [];

  constructor(options: Partial<ControlLoopOptions> = {}, onStart?: (key: string) => void) {
    this.loop = new ControlLoop(
      {
        name: 'test',
        clock: this.clock,
        random: new SeededRandom(1),
        logger: silentLogger,
        ...options,
      },
      (key, signal) => {
        this.started.push(key);
        onStart?.(key);
        return new Promise((resolve, reject) => {
          const end = (outcome: ReconcileResult | Error): void =>
            outcome instanceof Error ? reject(outcome) : resolve(outcome);
          this.#runs.push({ key, signal, end });
        });
      },
    );
  }

  get running(): string[] {
    return this.#runs.map((run) => run.key);
  }

  signalOf(key: string): AbortSignal {
    return this.#find(key).signal;
  }

  /** Ends the run of `key`: well, with a wish to be run again, or with a failure. */
  async finish(key: string, outcome?: ReconcileResult | Error): Promise<void> {
    const run = this.#find(key);
    this.#runs = this.#runs.filter((other) => other !== run);
    run.end(outcome);
    await settled();
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await settled();
  }

  #find(key: string): Run {
    const run = this.#runs.find((candidate) => candidate.key === key);
    if (run === undefined) throw new Error(`${key} does not run`);
    return run;
  }
}

/** Lets everything that needs no time happen. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
