/**
 * The language of testdata/*.txt. A case is a few lines of commands, "----", and what they print; a
 * blank line ends it. Cases of a file follow each other in one world, until "reset".
 *
 *   node n1 cpus=2 memory=1G state=down availability=drain role=manager label.zone=a
 *   node n1 generic=gpu:a|b,disk:2 engine=runtime:crun arch=aarch64
 *   rm-node n1                     network back subnet=10.9.0.0/24
 *   service web replicas=3 ...     update web image=b ...     rollback web     rm-service web
 *   plan [web]                     plan once and print what changes
 *   service job mode=replicated-job concurrent=2 completions=5     also: mode=global, global-job
 *   pass 5s                        time passes with everybody at work      wait 5s   only time
 *   status web.1 failed            an agent's word on a task               agents    one step of all
 *   waits web                      plan, and print what is waited for      why web.1   what nodes say
 *   run job                       a user asks for a run         clock 2026-03-28T23:00:00Z   sets the time
 *   use web cpu=0.5 memory=1G metric=3   what its tasks use        autoscale web   decide on its number
 *   tasks [web] [all]              wanted tasks, or all of them            show web  the service
 */
import {
  asId,
  isJob,
  isWantedState,
  type Change,
  type Service,
  type ServiceSpecInput,
  type Task,
  type TaskState,
  type GenericResource,
  wantedReplicas,
} from '@swarmd/model';

import { countTasks, nodeVerdicts, type Allocated, type Plan } from '../src/index.ts';
import { World, type NodeOptions } from './world.ts';

type Options = Map<string, string>;

export class Script {
  world = new World();
  /** What the user wrote of each service so far. */
  #written = new Map<string, Options>();

  run(lines: readonly string[]): string {
    return lines.flatMap((line) => this.#command(line)).join('\n');
  }

  #command(line: string): string[] {
    const words = line.match(/(?:[^\s"]+|"[^"]*")+/g) ?? [];
    const [command = '', name = ''] = words;
    const options: Options = new Map(
      words.slice(1).flatMap((word) => {
        const at = word.indexOf('=');
        return at < 0 ? [] : [[word.slice(0, at), word.slice(at + 1).replaceAll('"', '')]];
      }),
    );
    switch (command) {
      case 'reset':
        this.world = new World({
          ...(options.has('history') ? { taskHistoryLimit: Number(options.get('history')) } : {}),
          ...(options.has('pool') ? { overlayPool: options.get('pool') } : {}),
        });
        this.#written.clear();
        return [];
      case 'use':
        this.#use(name, options);
        return [];
      case 'clock':
        this.world.now = Date.parse(name);
        return [];
      case 'node':
        return this.#node(name, options);
      case 'rm-node':
        this.world.tables.node.delete(name);
        return [];
      case 'rm-network':
        this.world.tables.network.delete(name);
        return [];
      case 'network':
        return said(this.world.network(name, options.get('subnet')), (network) => [
          `network ${name}: vni ${network.vni}, ${network.subnet}, gateway ${network.gateway}`,
        ]);
      default:
        return this.#serviceCommand(command, { name, words, options });
    }
  }

  #serviceCommand(
    command: string,
    { name, words, options }: { name: string; words: string[]; options: Options },
  ): string[] {
    const { world } = this;
    switch (command) {
      case 'service':
      case 'update': {
        const written = new Map([...(this.#written.get(name) ?? []), ...options]);
        const spec = specOf(name, written);
        const result = command === 'service' ? world.create(spec) : world.update(spec);
        if (result.kind === 'allocated') this.#written.set(name, written);
        return said(result, () => []);
      }
      case 'rollback':
        return said(world.rollback(name, this.#pastSpec(name, options.get('to'))), () => []);
      case 'history':
        return (world.service(name).history?.specs ?? []).map(
          ({ spec }) => `image ${spec.task.container.image}`,
        );
      case 'rm-service':
        world.tables.service.delete(name);
        return [];
      case 'plan':
        return this.#plan(name);
      case 'agents':
        world.agents();
        return [];
      case 'pass':
        world.pass(milliseconds(name));
        return [];
      case 'autoscale':
        return this.#autoscale(name);
      case 'run':
        return said(world.run(name), () => []);
      case 'wait':
        world.now += milliseconds(name);
        return [];
      case 'status': {
        const error = options.get('error');
        const more = error === undefined ? {} : { error };
        const refused = world.report(world.find(name), words[2] as TaskState, more);
        return refused === undefined ? [] : [refused];
      }
      case 'waits':
        return this.#waits(name);
      case 'why':
        return nodeVerdicts(world.view, world.find(name)).map(
          ({ node, lacks = 'would take it', detail }) =>
            [node.id, lacks, ...(detail === undefined ? [] : [detail])].join(': '),
        );
      case 'tasks':
        return this.#tasks(words);
      case 'show':
        return this.#show(name);
      default:
        throw new Error(`unknown command: ${command}`);
    }
  }

  #node(name: string, options: Options): string[] {
    const labels = Object.fromEntries(
      [...options].flatMap(([key, value]) =>
        key.startsWith('label.') ? [[key.slice('label.'.length), value]] : [],
      ),
    );
    const set: NodeOptions = {};
    if (options.has('cpus')) set.cpus = Number(options.get('cpus'));
    if (options.has('memory')) set.memoryBytes = bytes(options.get('memory') ?? '');
    if (options.has('state')) set.state = options.get('state') as NonNullable<NodeOptions['state']>;
    if (options.has('availability')) {
      set.availability = options.get('availability') as NonNullable<NodeOptions['availability']>;
    }
    if (options.has('role')) set.role = options.get('role') as 'worker' | 'manager';
    if (options.has('arch')) set.architecture = options.get('arch') ?? '';
    if (options.has('generic')) set.generic = list(options, 'generic').map(genericOf);
    if (options.has('engine')) {
      set.engineLabels = Object.fromEntries(
        list(options, 'engine').map((pair) => pair.split(':') as [string, string]),
      );
    }
    if (options.has('ip')) set.address = options.get('ip') ?? '';
    if (Object.keys(labels).length > 0) set.labels = labels;
    this.world.node(name, set);
    return [];
  }

  #plan(name: string): string[] {
    const ids = name === '' ? this.world.serviceIds() : [asId('service', name)];
    return ids.flatMap((id) => {
      const before = new Map(this.world.tasks().map((task) => [task.id, task]));
      return printPlan(this.world.plan(id), before);
    });
  }

  /** Every task of the service that runs uses so much, as measured now; of "web.1" that one does. */
  #use(name: string, options: Options): void {
    for (const task of this.world.tasks()) {
      const isMeant = name === task.serviceName || name === `${task.serviceName}.${task.slot}`;
      if (!isMeant || task.status.state !== 'running') continue;
      const metric = options.get('metric');
      this.world.usage.set(task.id, {
        taskId: task.id,
        at: this.world.now,
        nanoCpus: Number(options.get('cpu') ?? 0) * 1e9,
        memoryBytes: bytes(options.get('memory') ?? '0'),
        ...(metric === undefined ? {} : { metric: Number(metric) }),
      });
    }
  }

  #autoscale(name: string): string[] {
    const before = wantedReplicas(this.world.service(name));
    const plan = this.world.autoscale(name);
    const service = this.world.service(name);
    const { pressure, message } = service.autoscale ?? { message: 'is not autoscaled' };
    const after = wantedReplicas(service);
    const wish = pressure === undefined ? '' : `, ${pressure.replicas} wanted`;
    return [
      `${before === after ? after : `${before} -> ${after}`} replicas${wish}${message === '' ? '' : `: ${message}`}`,
      ...plan.because.map((why) => `because ${why.message}`),
    ];
  }

  #tasks(words: readonly string[]): string[] {
    const all = words.includes('all');
    const service = words[1] === 'all' ? undefined : words[1];
    const lines = this.world
      .tasks()
      .filter((task) => service === undefined || task.serviceName === service)
      .filter((task) => all || isWantedState(task.desiredState))
      .toSorted(
        (a, b) =>
          a.serviceName.localeCompare(b.serviceName) || a.slot - b.slot || number(a) - number(b),
      )
      .map((task) => taskLine(task));
    return lines.length === 0 ? ['no tasks'] : lines;
  }

  #waits(name: string): string[] {
    const { waits } = this.world.plan(asId('service', name));
    const lines = waits.map(
      ({ code, message, until }) => `in ${until - this.world.now} ms (${code}): ${message}`,
    );
    return lines.length === 0 ? ['nothing is waited for'] : lines;
  }

  /** The version of the newest spec of the history with this image; -1 when there is none. */
  #pastSpec(name: string, image: string | undefined): number | undefined {
    if (image === undefined) return undefined;
    const specs = this.world.service(name).history?.specs ?? [];
    return specs.findLast(({ spec }) => spec.task.container.image === image)?.specVersion ?? -1;
  }

  #count(name: string): string {
    const { view } = this.world;
    const service = this.world.service(name);
    const { desired, running, completed } = countTasks(view, service);
    const { kind } = service.spec.mode;
    if (kind === 'replicated') return `${desired} replicas`;
    return `${kind} ${running}/${desired}${isJob(service.spec.mode) ? `, ${completed} completed` : ''}`;
  }

  #show(name: string): string[] {
    const { updateStatus, endpoint, spec } = this.world.service(name);
    const ports = endpoint.ports.map((port) => `${port.publishedPort}->${port.targetPort}`);
    return [
      `image ${spec.task.container.image}, ${this.#count(name)}`,
      ...(ports.length === 0 ? [] : [`ports ${ports.join(' ')}`]),
      ...endpoint.virtualIps.map((vip) => `address ${vip.address} on ${vip.networkId}`),
      ...(updateStatus === undefined ? [] : [`${updateStatus.state}: ${updateStatus.message}`]),
      ...runsOf(this.world.service(name)),
    ];
  }
}

function runsOf({ jobStatus }: Service): string[] {
  const at = (time: number) => new Date(time).toISOString().replace('.000Z', 'Z');
  const { schedule, runs = [] } = jobStatus ?? {};
  if (schedule === undefined) return [];
  return [
    ...runs.map(({ iteration, state, plannedFor, message }) => {
      const due = plannedFor === undefined ? 'asked for' : `due ${at(plannedFor)}`;
      const name = iteration === 0 ? state : `run ${iteration} ${state}`;
      return `${name}, ${due}${message === '' ? '' : `: ${message}`}`;
    }),
    `next ${schedule.nextAt === undefined ? 'never' : at(schedule.nextAt)}`,
  ];
}

function number(task: Task): number {
  return Number(task.id.slice(1));
}

function said<T>(result: Allocated<T>, print: (value: T) => string[]): string[] {
  return result.kind === 'allocated'
    ? print(result.value)
    : [`refused (${result.code}): ${result.message}`];
}

export function milliseconds(text: string): number {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? ''];
  if (match === null || unit === undefined) throw new Error(`no duration: ${text}`);
  return Number(match[1]) * unit;
}

function bytes(text: string): number {
  const unit = { M: 1024 ** 2, G: 1024 ** 3 }[text.slice(-1)];
  return Number.parseInt(text, 10) * (unit ?? 1);
}

function specOf(name: string, options: Options): ServiceSpecInput {
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
  });
  return {
    name,
    labels: options.has('label') ? { label: options.get('label') ?? '' } : {},
    mode: modeOf(options),
    task: {
      container: { image: options.get('image') ?? 'a' },
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

function list(options: Options, key: string, separator = ','): string[] {
  return (options.get(key) ?? '').split(separator).filter((one) => one !== '');
}

/** "gpu:4" is four, "gpu:a|b" are two with names. */
function genericOf(text: string): GenericResource {
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

function taskLine(task: Task): string {
  const { state, error } = task.status;
  const where = task.nodeId === undefined ? 'nowhere' : `on ${task.nodeId}`;
  const addresses = task.networks.map((one) => ` ${one.address}`).join('');
  const wish = task.desiredState === state ? '' : ` (wanted: ${task.desiredState})`;
  const claimed = (task.claimed?.generic ?? [])
    .map(({ kind, count, names }) => ` ${kind}=${names.join('|') || count}`)
    .join('');
  return `${task.serviceName}.${task.slot} ${task.id} ${task.spec.container.image} ${where}${addresses}${claimed} ${state}${wish}${error === '' ? '' : `: ${error}`}`;
}

function printPlan(plan: Plan, before: ReadonlyMap<string, Task>): string[] {
  const lines = plan.ops.flatMap((op) => printOp(op, before));
  if (plan.requeueAfterMs !== undefined) lines.push(`again in ${plan.requeueAfterMs} ms`);
  return lines.length === 0 ? ['nothing'] : lines;
}

function printOp(op: Change, before: ReadonlyMap<string, Task>): string[] {
  if (op.kind === 'delete') {
    const task = before.get(op.id);
    return [`- ${task?.serviceName}.${task?.slot} ${op.id}`];
  }
  if (op.table === 'service') {
    const { updateStatus, spec, because } = op.object;
    if (updateStatus === undefined)
      return [`~ service ${spec.name} [${because.at(-1)?.code ?? ''}]`];
    return [`~ service ${spec.name}: ${updateStatus?.state}: ${updateStatus?.message}`];
  }
  if (op.table !== 'task') return [];
  const task = op.object;
  const old = before.get(task.id);
  if (old === undefined) {
    return [`+ ${taskLine(task)} [${task.because.map((why) => why.code).join(', ')}]`];
  }
  const news = task.because.filter((why) => !old.because.includes(why));
  return [`~ ${taskLine(task)} [${news.map((why) => why.code).join(', ')}]`];
}
