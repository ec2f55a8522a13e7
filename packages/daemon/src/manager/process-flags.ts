/** How the manager process is started, so that it stays small while it has little to do. */

/** The young generation may grow to this; it starts small, and `heap.ts` says when it may. */
export const MANAGER_FLAGS = ['--max-semi-space-size=16', '--semi-space-growth-factor=1'];
/** Two threads that mostly wait need no malloc arena each. */
export const MANAGER_ENVIRONMENT = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '65536' };
