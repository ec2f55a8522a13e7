/**
 * The language of testdata/*.txt. A case is a few lines of commands, "----", and what they print; a
 * blank line ends it. Cases of a file follow each other in one world, until "reset".
 *
 *   node n1 cpus=2 memory=1G state=down availability=drain role=manager label.zone=a
 *   node n1 generic=gpu:a|b,disk:2 engine=runtime:crun arch=aarch64
 *   node n1 state=down turn=10s      its tasks are replaced then    node n1 held=10s     no new tasks
 *   node n1 plugins=volume:nfs,log:journald      service web volume-driver=nfs log=journald runtime=kata
 *   node n1 encryption=yes|no-ESP                network back driver=overlay encrypted=true
 *   reset mesh=encrypted
 *   rm-node n1                     network back subnet=10.9.0.0/24
 *   service web replicas=3 ...     update web image=b ...     rollback web     rm-service web
 *   plan [web]                     plan once and print what changes
 *   service job mode=replicated-job concurrent=2 completions=5     also: mode=global, global-job
 *   pass 5s                        time passes with everybody at work      wait 5s   only time
 *   secret key            its first version, or the next for all that use it     service web secrets=key
 *   secrets               who runs with which version        forget    versions nobody refers to go
 *   continue web       somebody approves the canary step      update.canary=10%:approve,2:30s
 *   status web.1 failed            an agent's word on a task               agents    one step of all
 *   waits web                      plan, and print what is waited for      why web.1   what nodes say
 *   run job                       a user asks for a run         clock 2026-03-28T23:00:00Z   sets the time
 *   use web cpu=0.5 memory=1G metric=3   what its tasks use        autoscale web   decide on its number
 *   tasks [web] [all]              wanted tasks, or all of them            show web  the service
 *   told web.1, told t1, told web  the reasons kept with a task, or with a service
 */
import {
  asId,
  isJob,
  isWantedState,
  type Change,
  type Service,
  type Task,
  type TaskState,
  wantedReplicas,
} from '@swarmd/model';

import {
  countTasks,
  nodeVerdicts,
  unusedVersions,
  type Allocated,
  type Plan,
} from '../src/index.ts';
import {
  bytes,
  genericOf,
  list,
  milliseconds,
  networkOf,
  pluginOf,
  specOf,
  type Options,
} from './script-spec.ts';
import { World, type NodeOptions } from './world.ts';

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
          ...(options.has('moves')
            ? { rebalance: { budget: Number(options.get('moves')), intervalMs: 1_000 } }
            : {}),
          ...(options.has('pool') ? { overlayPool: options.get('pool') } : {}),
          ...(options.has('mesh') ? { encryptMesh: options.get('mesh') === 'encrypted' } : {}),
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
        return said(this.world.network(name, networkOf(options)), (network) => [
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
      case 'continue':
        return said(world.proceed(name), () => []);
      case 'secret':
        this.world.secret(name);
        return [];
      case 'secrets':
        return this.#secrets();
      case 'forget':
        this.world.apply(unusedVersions(this.world.view));
        return [];
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
      case 'told': {
        const isTask = /\.|^t\d+$/.test(name);
        const object = isTask ? this.world.find(name) : this.world.service(name);
        return object.because.map(({ message }) => message);
      }
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
    if (options.has('plugins')) set.plugins = list(options, 'plugins').map(pluginOf);
    if (options.has('encryption')) {
      const says = options.get('encryption') ?? '';
      set.lacks = says === 'yes' ? '' : says.replaceAll('-', ' ');
    }
    if (options.has('held')) set.heldMs = milliseconds(options.get('held') ?? '');
    if (options.has('turn')) set.turnMs = milliseconds(options.get('turn') ?? '');
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
    const lines = this.world.waits(asId('service', name)).map(({ code, message, until }) => {
      const when = until === undefined ? 'until some time' : `in ${until - this.world.now} ms`;
      return `${when} (${code}): ${message}`;
    });
    return lines.length === 0 ? ['nothing is waited for'] : lines;
  }

  /** The version of the newest spec of the history with this image; -1 when there is none. */
  #pastSpec(name: string, image: string | undefined): number | undefined {
    if (image === undefined) return undefined;
    const specs = this.world.service(name).history?.specs ?? [];
    return specs.findLast(({ spec }) => spec.task.container.image === image)?.specVersion ?? -1;
  }

  /** Each version, and the tasks that are to run with it. */
  #secrets(): string[] {
    const lines = [...this.world.tables.secret.values()].map(({ id, number, replacedAt, spec }) => {
      const users = this.world
        .tasks()
        .filter((task) => isWantedState(task.desiredState))
        .filter((task) => task.spec.container.secrets.some((file) => file.id === id))
        .map((task) => `${task.serviceName}.${task.slot}`);
      const by = users.length === 0 ? 'nobody' : users.join(' ');
      return `${spec.name} version ${number}${replacedAt === undefined ? '' : ' (replaced)'}: ${by}`;
    });
    return lines.length === 0 ? ['no secrets'] : lines;
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
