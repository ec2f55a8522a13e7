export { systemClock } from './clock.ts';
export { systemTurns } from './turns.ts';
export { run, type RunOptions, type RunResult } from './process.ts';
export { systemIds, systemRandom } from './random.ts';
