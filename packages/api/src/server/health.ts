/** The standard health service: which services of a server can be used now. */
import { BoundedQueue, SwarmError } from '@swarmd/base';

import type { Call } from '../contract/call.ts';
import type { Service } from '../service/definition.ts';
import type { ApiServer } from './api-server.ts';
import { hostOf } from './serve.ts';

export type HealthStatus = 'serving' | 'not-serving';

/** What load balancers and probes are told. */
export interface Health {
  /** `service`: full name, or '' for the server as a whole. */
  set(service: string, status: HealthStatus): void;
}

interface StatusResponse {
  readonly status: HealthStatus | 'unknown' | 'service-unknown';
}

interface HealthContract {
  check(request: { service: string }, call: Call): Promise<StatusResponse>;
  list(
    request: Record<string, never>,
    call: Call,
  ): Promise<{ statuses: Record<string, StatusResponse> }>;
  watch(request: { service: string }, call: Call): AsyncIterable<StatusResponse>;
}

const method = { access: 'node', writes: false, result: 'message' } as const;

const healthService: Service<HealthContract> = {
  name: 'grpc.health.v1.Health',
  methods: { check: method, list: method, watch: method },
};

/** Adds the service. All services the server has now are serving, until said otherwise. */
export function serveHealth(server: ApiServer): Health {
  const statuses = new Map<string, HealthStatus>(
    ['', ...server.services].map((name) => [name, 'serving']),
  );
  /** One wake-up is enough: a watcher looks up the newest status itself. */
  const watchers = new Set<BoundedQueue<true>>();
  hostOf(server).add(healthService, {
    check({ service }) {
      const status = statuses.get(service);
      return status === undefined
        ? Promise.reject(new SwarmError('not-found', `this server has no service "${service}"`))
        : Promise.resolve({ status });
    },
    list: () =>
      Promise.resolve({
        statuses: Object.fromEntries([...statuses].map(([name, status]) => [name, { status }])),
      }),
    async *watch({ service }, { signal }) {
      const changed = new BoundedQueue<true>(1);
      watchers.add(changed);
      try {
        for (let last = ''; ; await changed.take(signal)) {
          const status = statuses.get(service) ?? 'service-unknown';
          if (status !== last) yield { status };
          last = status;
        }
      } finally {
        watchers.delete(changed);
      }
    },
  });
  return {
    set(service, status) {
      statuses.set(service, status);
      for (const watcher of watchers) watcher.offer(true);
    },
  };
}
