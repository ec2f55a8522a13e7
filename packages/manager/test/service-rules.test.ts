/** What makes a service spec be refused, with SwarmKit's names for these checks. */
import { networkSpec, serviceSpec, type NetworkSpec, type ServiceSpecInput } from '@swarmd/model';
import type { ReadView } from '@swarmd/store';
import { describe, expect, it } from 'vitest';

import { checkServiceReferences, checkServiceSpec } from '../src/control/service-rules.ts';
import { parseSpec } from '../src/control/validate.ts';

type Part = Partial<ServiceSpecInput> & {
  container?: object;
  placement?: object;
  reservations?: object;
  limits?: object;
  restart?: object;
};

function refusal(part: Part): string {
  const { container, placement, reservations, limits, restart, ...rest } = part;
  const task = { container: { image: 'a', ...container } };
  const sections = { placement, reservations, limits, restart };
  try {
    const spec = { name: 'web', task: { ...task, ...sections }, ...rest };
    checkServiceSpec(parseSpec('service', serviceSpec, spec));
    return 'accepted';
  } catch (error) {
    return (error as Error).message;
  }
}

/** What is said of a service on a network, with other fields of the service. */
function refusalOn(
  network: Partial<NetworkSpec>,
  part: { container?: object; endpoint?: object; networks?: string[] },
): string {
  const { container, endpoint, networks = ['n'] } = part;
  const spec = networkSpec.parse({ name: 'net', ...network });
  const view = { get: () => ({ spec }) } as unknown as ReadView;
  const targets = networks.map((target) => ({ target }));
  const task = { container: { image: 'a', ...container }, networks: targets };
  try {
    const wanted = parseSpec('service', serviceSpec, { name: 'web', task, endpoint });
    checkServiceReferences(view, wanted);
    return 'accepted';
  } catch (error) {
    return (error as Error).message;
  }
}

const bound = (address: string) => ({ ports: [{ targetPort: 80, publishedPort: 80, address }] });

describe('a service on a network', () => {
  const endpoint = { ports: [{ targetPort: 80, publishedPort: 80 }] };

  it.each<[Partial<NetworkSpec>, object, string]>([
    [{}, { endpoint }, 'accepted'],
    [{ driver: 'host' }, {}, 'accepted'],
    [{ driver: 'host' }, { endpoint }, 'containers bind ports of the node itself'],
    [{ driver: 'none' }, { endpoint }, 'nobody can come in'],
    [{ driver: 'macvlan', gateway: '10.0.0.1' }, { endpoint }, 'answers would leave'],
    [{ driver: 'macvlan' }, { endpoint }, 'accepted'],
    [{}, { endpoint: bound('2001:DB8:0:0::7') }, 'port [2001:db8::7]:80/tcp cannot be published'],
    [{ ipv6: true }, { endpoint: bound('2001:db8::7') }, 'accepted'],
    [{}, { endpoint: bound('192.0.2.7') }, 'accepted'],
  ])('%j and %j: %s', (network, part, words) => {
    expect(refusalOn(network, part)).toContain(words);
  });

  it('that is not the only one, or would change the node', () => {
    const host = { driver: 'host' } as const;
    expect(refusalOn(host, { networks: ['n', 'm'] })).toContain('cannot be combined');
    const container = { sysctls: { 'net.core.somaxconn': '1' } };
    expect(refusalOn(host, { container })).toContain('it would change the node itself');
  });
});

const job = { kind: 'replicated-job' } as const;

describe('a service is refused', () => {
  it.each<[string, Part, string]>([
    ['ValidateContainerSpec: image', { container: { image: '' } }, 'an image is required'],
    [
      'ValidateContainerSpec: two mounts',
      {
        container: {
          mounts: [
            { kind: 'tmpfs', target: '/a' },
            { kind: 'tmpfs', target: '/a' },
          ],
        },
      },
      'more than one mount at /a',
    ],
    [
      'ValidateContainerSpec: health check',
      { container: { healthcheck: { test: ['CMD', 'x'], intervalMs: 0 } } },
      'intervalMs',
    ],
    [
      'schedule of what is no job',
      { schedule: { cron: '@daily' } },
      'a schedule is for jobs; this one is replicated',
    ],
    [
      'schedule: a field too few',
      { mode: job, schedule: { cron: '* * * *' } },
      'write minute, hour',
    ],
    ['schedule: seconds', { mode: job, schedule: { cron: '* * * * * *' } }, 'write minute, hour'],
    ['schedule: a date', { mode: job, schedule: { cron: '2026-12-01' } }, 'write minute, hour'],
    ['schedule: minute 60', { mode: job, schedule: { cron: '60 * * * *' } }, 'minute: 60'],
    ['schedule: @reboot', { mode: job, schedule: { cron: '@reboot' } }, 'write minute, hour'],
    ['schedule: February 31', { mode: job, schedule: { cron: '0 0 31 2 *' } }, 'never comes'],
    [
      'schedule: unknown time zone',
      { mode: job, schedule: { cron: '@daily', timeZone: 'Europe/Bonn' } },
      'time zone "Europe/Bonn" is not known',
    ],
    [
      'autoscale: a job',
      { mode: job, autoscale: { min: 1, max: 2, cpuPercent: 50 } },
      'autoscaling is for replicated services; this one is replicated-job',
    ],
    ['autoscale: no target', { autoscale: { min: 1, max: 2 } }, 'needs a target'],
    [
      'autoscale: bounds',
      { autoscale: { min: 3, max: 2, cpuPercent: 50 } },
      'at least 3 and at most 2',
    ],
    ['autoscale: nothing', { autoscale: { min: 0, max: 2 } }, 'autoscale.min'],
    [
      'autoscale: CPU of what',
      { autoscale: { min: 1, max: 2, cpuPercent: 50 } },
      'needs a reservation or a limit of CPU',
    ],
    [
      'autoscale: memory of what',
      { autoscale: { min: 1, max: 2, memoryPercent: 50 } },
      'by memory needs a reservation',
    ],
    [
      'autoscale: metric',
      { autoscale: { min: 1, max: 2, metric: { name: 'a b', port: 80, target: 1 } } },
      'name of a Prometheus metric',
    ],
    ['ValidateContainerSpec: template', { container: { env: ['A={{.Nope}}'] } }, 'no .Nope'],
    ['ValidateResources: CPU', { reservations: { nanoCpus: 1 } }, 'at least 0.001'],
    ['ValidateResources: memory', { limits: { memoryBytes: 1_000 } }, 'at least 4 MiB'],
    [
      'ValidateResources: more than the limit',
      { reservations: { memoryBytes: 2 ** 24 }, limits: { memoryBytes: 2 ** 23 } },
      'reserves more memory',
    ],
    [
      'ValidateResources: generic, none of them',
      { reservations: { generic: [{ kind: 'gpu', count: 0 }] } },
      'generic.0.count',
    ],
    [
      'ValidateResources: generic, twice',
      {
        reservations: {
          generic: [
            { kind: 'gpu', count: 1 },
            { kind: 'gpu', count: 2 },
          ],
        },
      },
      'reserved more than once: generic resource gpu',
    ],
    ['ValidateRestartPolicy: delay', { restart: { delayMs: -1 } }, 'restart.delayMs'],
    ['ValidateRestartPolicy: window', { restart: { windowMs: -1 } }, 'restart.windowMs'],
    ['ValidateUpdate: ratio', { update: { maxFailureRatio: 1.5 } }, 'update.maxFailureRatio'],
    ['ValidateUpdate: delay', { update: { delayMs: -1 } }, 'update.delayMs'],
    ['ValidateUpdate: monitor', { rollback: { monitorMs: -1 } }, 'rollback.monitorMs'],
    [
      'ValidateUpdate: canary step without a size',
      { update: { canary: [{ healthMs: 1 }] } },
      'update.canary.0: a canary step is a percentage or a number of tasks',
    ],
    [
      'ValidateUpdate: canary step with two sizes',
      { update: { canary: [{ percent: 1, tasks: 1 }] } },
      'say one of them',
    ],
    ['ValidateUpdate: canary percentage', { update: { canary: [{ percent: 101 }] } }, 'percent'],
    [
      'ValidateUpdate: canary steps of a rollback',
      { rollback: { canary: [{ percent: 10 }] } },
      'canary steps are for updates',
    ],
    ['ValidateMode: replicas', { mode: { kind: 'replicated', replicas: -1 } }, 'mode.replicas'],
    ['ServiceValidateJob: concurrency', { mode: { ...job, maxConcurrent: 0 } }, 'maxConcurrent'],
    [
      'ServiceValidateJob: completions',
      { mode: { ...job, totalCompletions: -1 } },
      'totalCompletions',
    ],
    [
      'ServiceValidateJob: update',
      { mode: job, update: { parallelism: 2 } },
      'a job is not updated but run again',
    ],
    ['ServiceValidateJob: standbys', { mode: job, standby: 1 }, 'this one is replicated-job'],
    [
      'ServiceValidateJob: moves',
      { mode: { kind: 'global' }, rebalance: { budget: 1 } },
      'only tasks of replicated services move',
    ],
    [
      'preemption without a priority',
      { placement: { preempts: true } },
      "with priority 0 it takes nobody's place",
    ],
    [
      'ValidateMode: most replicas per node of a global service',
      { mode: { kind: 'global' }, placement: { maxReplicasPerNode: 1 } },
      'has one task on each node',
    ],
    [
      'ValidateEndpointSpec: dnsrr and ingress',
      { endpoint: { mode: 'dnsrr', ports: [{ targetPort: 80, publishedPort: 80 }] } },
      'need endpoint mode vip',
    ],
    [
      'ValidateEndpointSpec: one port twice',
      {
        endpoint: {
          ports: [
            { targetPort: 80, publishedPort: 80 },
            { targetPort: 81, publishedPort: 80 },
          ],
        },
      },
      'published more than once: port 80/tcp',
    ],
    [
      'ValidateTaskSpec: constraint',
      { placement: { constraints: ['node.rack==1'] } },
      'unknown key "node.rack"',
    ],
    [
      'ValidateTaskSpec: preference',
      { placement: { preferences: [{ spread: 'rack' }] } },
      'unknown key "rack"',
    ],
    [
      'ValidateTaskSpec: affinity',
      { placement: { affinities: ['cache'] } },
      'affinity "cache" is not of the form',
    ],
    [
      'standbys do not know their slot',
      { standby: 1, container: { hostname: 'web-{{.Task.Slot}}' } },
      'leave .Task.Slot and .Task.Name out',
    ],
    ['ValidateServiceSpec: name', { name: 'not a name' }, 'must be a DNS label'],
  ])('%s', (_what, part, message) => {
    expect(refusal(part)).toContain(message);
  });

  it.each<[string, Part]>([
    ['a job as it is', { mode: job }],
    ['a global job', { mode: { kind: 'global-job' } }],
    ['standbys that know their service', { standby: 1, container: { env: ['A={{.Service.ID}}'] } }],
    ['an update of a global service', { mode: { kind: 'global' }, update: { parallelism: 3 } }],
  ])('but not %s', (_what, part) => {
    expect(refusal(part)).toBe('accepted');
  });
});
