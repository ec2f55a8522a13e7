/** What this machine is, as the managers and their planner see it. */
import { availableParallelism, hostname, totalmem } from 'node:os';

import type { GenericResource, NodeDescription } from '@swarmd/model';

const NANO = 1_000_000_000;

export function describeNode(options: {
  engineVersion: string;
  labels: Readonly<Record<string, string>>;
  genericResources: readonly GenericResource[];
}): NodeDescription {
  return {
    hostname: hostname(),
    platform: { os: process.platform, architecture: architecture() },
    resources: {
      nanoCpus: availableParallelism() * NANO,
      memoryBytes: totalmem(),
      generic: options.genericResources,
    },
    engineVersion: options.engineVersion,
    labels: options.labels,
  };
}

/** Names as OCI images use them. */
function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}
