/** What a mode means. Apart from the schemas, which agents and swarmctl do not load. */
import type { ServiceMode } from './spec/service.ts';

/** Jobs run to completion, and run again when their spec is written. */
export function isJob(mode: ServiceMode): boolean {
  return mode.kind === 'replicated-job' || mode.kind === 'global-job';
}

/** Slots of global services and jobs are nodes. */
export function isGlobal(mode: ServiceMode): boolean {
  return mode.kind === 'global' || mode.kind === 'global-job';
}
