/** What a mode means. Apart from the schemas, which agents and swarmctl do not load. */
import type { Service } from './objects.ts';
import type { ServiceMode } from './spec/service.ts';

/** Jobs run to completion, and run again when their spec is written. */
export function isJob(mode: ServiceMode): boolean {
  return mode.kind === 'replicated-job' || mode.kind === 'global-job';
}

/** Slots of global services and jobs are nodes. */
export function isGlobal(mode: ServiceMode): boolean {
  return mode.kind === 'global' || mode.kind === 'global-job';
}

/** How many replicas there shall be now; 0 for what is not replicated. */
export function wantedReplicas({ spec, autoscale }: Pick<Service, 'spec' | 'autoscale'>): number {
  const { mode, autoscale: policy } = spec;
  if (mode.kind !== 'replicated') return 0;
  if (policy === undefined) return mode.replicas;
  return Math.min(policy.max, Math.max(policy.min, autoscale?.replicas ?? mode.replicas));
}
