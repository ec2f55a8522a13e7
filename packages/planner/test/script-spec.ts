/** Specs as the options of the case language say them. */
import type {
  CanaryStep,
  GenericResource,
  NetworkSpec,
  NodePlugin,
  ServiceSpecInput,
} from '@swarmd/model';

export type Options = Map<string, string>;

export function milliseconds(text: string): number {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? ''];
  if (match === null || unit === undefined) throw new Error(`no duration: ${text}`);
  return Number(match[1]) * unit;
}

export function bytes(text: string): number {
  const unit = { M: 1024 ** 2, G: 1024 ** 3 }[text.slice(-1)];
  return Number.parseInt(text, 10) * (unit ?? 1);
}

export function specOf(name: string, options: Options): ServiceSpecInput {
  const duration = (key: string) =>
    options.has(key) ? { [`${key.split('.')[1]}Ms`]: milliseconds(options.get(key) ?? '') } : {};
  const plain = (key: string) =>
    options.has(key) ? { [key.split('.')[1] ?? '']: scalar(options.get(key) ?? '') } : {};
  const config = (prefix: string) => ({
    ...plain(`${prefix}.parallelism`),
    ...duration(`${prefix}.delay`),
    ...duration(`${prefix}.monitor`),
    ...plain(`${prefix}.failureAction`),
    ...plain(`${prefix}.maxFailureRatio`),
    ...plain(`${prefix}.order`),
    ...duration(`${prefix}.progressDeadline`),
    ...(prefix === 'update' ? { canary: list(options, 'update.canary').map(canaryStep) } : {}),
  });
  return {
    name,
    labels: options.has('label') ? { label: options.get('label') ?? '' } : {},
    mode: modeOf(options),
    task: {
      container: {
        image: options.get('image') ?? 'a',
        secrets: list(options, 'secrets').map((name) => ({ id: name, name, target: name })),
        runtime: options.get('runtime') ?? '',
        log: { driver: (options.get('log') ?? '') as 'journald' | '' },
        mounts: list(options, 'volume-driver').map((driver) => ({
          kind: 'volume' as const,
          source: driver,
          target: `/${driver}`,
          driver,
        })),
      },
      limits: { memoryBytes: bytes(options.get('limit') ?? '0') },
      reservations: {
        nanoCpus: Number(options.get('cpus') ?? 0) * 1e9,
        memoryBytes: bytes(options.get('memory') ?? '0'),
        generic: list(options, 'generic').map((text) => {
          const [kind = '', count = '1'] = text.split(':');
          return { kind, count: Number(count) };
        }),
      },
      restart: {
        ...plain('restart.condition'),
        ...duration('restart.delay'),
        ...plain('restart.maxAttempts'),
        ...duration('restart.window'),
      },
      placement: {
        constraints: list(options, 'constraints', ';'),
        preferences: list(options, 'spread').map((spread) => ({ spread })),
        platforms: list(options, 'platform').map((text) => {
          const [os = '', architecture = ''] = text.split('/');
          return { os, architecture };
        }),
        affinities: list(options, 'affinity'),
        priority: Number(options.get('priority') ?? 0),
        preempts: options.get('preempts') === 'true',
        ...(options.get('strategy') === 'binpack' ? { strategy: 'binpack' as const } : {}),
        maxReplicasPerNode: Number(options.get('max-per-node') ?? 0),
      },
      networks: list(options, 'networks').map((target) => ({ target })),
      forceUpdate: Number(options.get('force') ?? 0),
    },
    standby: Number(options.get('standby') ?? 0),
    ...((options.get('max') ?? '') !== '' ? { autoscale: autoscaleOf(options) } : {}),
    ...(options.has('schedule') ? { schedule: scheduleOf(options) } : {}),
    rebalance: { ...plain('rebalance.budget'), ...duration('rebalance.interval') },
    update: config('update'),
    rollback: config('rollback'),
    endpoint: {
      mode: options.get('endpoint') === 'dnsrr' ? 'dnsrr' : 'vip',
      ports: list(options, 'publish').map((text) => {
        const [rest = '', address = ''] = text.split('@');
        const [ports = '', mode = 'ingress'] = rest.split('/');
        const [published = '0', target = published] = ports.split(':');
        return {
          publishedPort: Number(published),
          targetPort: Number(target),
          publishMode: mode === 'host' ? ('host' as const) : ('ingress' as const),
          address,
        };
      }),
    },
  };
}

export function list(options: Options, key: string, separator = ','): string[] {
  return (options.get(key) ?? '').split(separator).filter((one) => one !== '');
}

/** "10%:approve", "2:30s" */
function canaryStep(text: string): CanaryStep {
  const [size = '', gate = ''] = text.split(':');
  const healthMs = gate === 'approve' ? 0 : milliseconds(gate);
  const number = Number.parseInt(size, 10);
  return size.endsWith('%') ? { percent: number, healthMs } : { tasks: number, healthMs };
}

/** "gpu:4" is four, "gpu:a|b" are two with names. */
/** "volume:nfs". */
export function pluginOf(text: string): NodePlugin {
  const [kind, name = ''] = text.split(':');
  return { kind: kind as NodePlugin['kind'], name };
}

export function genericOf(text: string): GenericResource {
  const [kind = '', value = ''] = text.split(':');
  const names = /^\d+$/.test(value) ? [] : value.split('|');
  return { kind, count: names.length || Number(value), names };
}

/** min=1 max=5 cpu-target=70 memory-target=80 metric-target=20 up=0s down=5m step=4/2 warmup=0s */
function autoscaleOf(options: Options): ServiceSpecInput['autoscale'] {
  const [stepUp = '4', stepDown = '2'] = (options.get('step') ?? '').split('/').filter(Boolean);
  const target = (key: string, field: string) =>
    options.has(key) ? { [field]: Number(options.get(key)) } : {};
  return {
    min: Number(options.get('min') ?? 1),
    max: Number(options.get('max')),
    ...target('cpu-target', 'cpuPercent'),
    ...target('memory-target', 'memoryPercent'),
    ...(options.has('metric-target')
      ? { metric: { name: 'load', port: 80, target: Number(options.get('metric-target')) } }
      : {}),
    upWindowMs: milliseconds(options.get('up') ?? '0s'),
    downWindowMs: milliseconds(options.get('down') ?? '5m'),
    stepUp: Number(stepUp),
    stepDown: Number(stepDown),
    warmupMs: milliseconds(options.get('warmup') ?? '0s'),
  };
}

/** schedule="0 4 * * *" zone=Europe/Berlin concurrency=forbid deadline=1m suspended=true keep=3/1 */
function scheduleOf(options: Options): ServiceSpecInput['schedule'] {
  const [completed = '3', failed = '1'] = (options.get('keep') ?? '').split('/').filter(Boolean);
  return {
    cron: options.get('schedule') ?? '',
    timeZone: options.get('zone') ?? 'UTC',
    concurrency: (options.get('concurrency') ?? 'forbid') as 'allow' | 'forbid' | 'replace',
    startingDeadlineMs: milliseconds(options.get('deadline') ?? '0s'),
    suspended: options.get('suspended') === 'true',
    keepCompleted: Number(completed),
    keepFailed: Number(failed),
  };
}

function modeOf(options: Options): ServiceSpecInput['mode'] {
  const number = (key: string) => Number(options.get(key) ?? 1);
  const kind = options.get('mode') ?? 'replicated';
  switch (kind) {
    case 'replicated':
      return { kind, replicas: number('replicas') };
    case 'replicated-job':
      return { kind, maxConcurrent: number('concurrent'), totalCompletions: number('completions') };
    case 'global':
    case 'global-job':
      return { kind };
    default:
      throw new Error(`unknown mode: ${kind}`);
  }
}

function scalar(text: string): string | number {
  return /^[\d.]+$/.test(text) ? Number(text) : text;
}

/** Of a network: its driver, subnet and options. */
export function networkOf(options: Options): Partial<NetworkSpec> {
  const fields = ['encrypted', 'parent'].filter((key) => options.has(key));
  return {
    driver: (options.get('driver') ?? 'overlay') as NetworkSpec['driver'],
    subnet: options.get('subnet') ?? '',
    options: Object.fromEntries(fields.map((key) => [key, options.get(key) ?? ''])),
  };
}
