/** Autoscaling in words: what is aimed at, what was decided, what is waited for. */
import { wantedReplicas, type AutoscalePolicy, type Service } from '@swarmd/model';

import { duration } from './explain-words.ts';

const SECOND_MS = 1_000;

/** Lines; none for services that are not autoscaled. */
export function explainAutoscale(service: Service, now: number): string[] {
  const { autoscale: policy } = service.spec;
  const status = service.autoscale;
  if (policy === undefined || status === undefined) return [];
  const since = (at: number): string => duration(Math.max(0, now - at));
  const why = status.message === '' ? 'use is as wanted' : status.message;
  const { pressure } = status;
  return [
    `  autoscaling, ${policy.min} to ${policy.max} replicas by ${targets(policy)}: ${wantedReplicas(service)} for ${since(status.changedAt)}: ${why}`,
    ...(pressure === undefined
      ? []
      : [
          `    ${pressure.replicas} replicas are wanted for ${since(pressure.since)}; ${waits(policy)}`,
        ]),
  ];
}

function targets({ cpuPercent, memoryPercent, metric }: AutoscalePolicy): string {
  return [
    ...(cpuPercent === undefined ? [] : [`cpu ${cpuPercent}%`]),
    ...(memoryPercent === undefined ? [] : [`memory ${memoryPercent}%`]),
    ...(metric === undefined ? [] : [`${metric.name} ${metric.target}`]),
  ].join(', ');
}

function waits({ upWindowMs, downWindowMs, intervalMs }: AutoscalePolicy): string {
  const [up, down, between] = [upWindowMs, downWindowMs, intervalMs].map((ms) => ms / SECOND_MS);
  return `more are added after ${up} s, fewer after ${down} s, a step every ${between} s`;
}
