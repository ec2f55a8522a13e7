/** What users of a simulated cluster do: services of every kind, their rollouts, nodes, secrets. */
import type { Node, NodeAvailability, Service, ServiceSpecInput } from '@swarmd/model';

import type { ClusterSize } from './cluster-size.ts';
import { randomLabels } from './random-policies.ts';
import { randomSpec, type Files } from './random-specs.ts';
import type { SimWorld } from './sim-world.ts';

const AVAILABILITY = ['active', 'active', 'active', 'pause', 'drain'] as const;
const SECRETS = ['key', 'password'];
const CONFIGS = ['settings'];

export class Users {
  readonly #world: SimWorld;
  readonly #size: ClusterSize;
  #made = 0;

  constructor(world: SimWorld, size: ClusterSize) {
    this.#world = world;
    this.#size = size;
  }

  createFiles(): void {
    for (const name of SECRETS) {
      this.#world.user(`create secret ${name}`, async ({ control }, call) => {
        await control.createSecret({ spec: { name, data: this.#content() } }, call);
      });
    }
    for (const name of CONFIGS) {
      this.#world.user(`create config ${name}`, async ({ control }, call) => {
        await control.createConfig({ spec: { name, data: this.#content() } }, call);
      });
    }
  }

  create(): void {
    this.#made += 1;
    const spec = this.#spec(`s${this.#made}`);
    this.#world.user(`create ${summary(spec)}`, ({ control }, call) =>
      control.createService({ spec }, call),
    );
  }

  update(): void {
    const service = this.service();
    if (service === undefined) return;
    this.#write(service, this.#spec(service.spec.name, service.spec.mode));
  }

  scale(): void {
    const service = this.service();
    if (service?.spec.mode.kind !== 'replicated') return;
    const replicas = this.#world.dice.between(0, this.#size.replicasMax);
    this.#write(service, { ...service.spec, mode: { kind: 'replicated', replicas } });
  }

  /** Changes on running containers. */
  limit(): void {
    const service = this.service();
    if (service === undefined) return;
    const { spec } = service;
    const limits = { ...spec.task.limits, pids: this.#world.dice.between(1, 4) * 100 };
    this.#write(service, { ...spec, task: { ...spec.task, limits } });
  }

  rollBack(): void {
    const { dice, judge } = this.#world;
    const service = this.service();
    if (service?.previousSpec === undefined) return;
    const { id, meta, spec, history } = service;
    const past = dice.happens(0.5) ? dice.maybe(history?.specs ?? []) : undefined;
    const to = past === undefined ? {} : { rollbackTo: past.specVersion };
    judge.userWill('roll-back', id);
    this.#world.user(`roll back ${spec.name} to ${past?.specVersion}`, ({ control }, call) =>
      control.updateService({ id, version: meta.version, rollback: true, ...to }, call),
    );
  }

  /** Approves a canary step, if some update waits for that. */
  approve(): void {
    const waiting = [...this.#world.judge.view.list('service')].filter(waitsForApproval);
    const service = this.#world.dice.maybe(waiting);
    if (service === undefined) return;
    approve(this.#world, service);
  }

  runJob(): void {
    const service = this.service();
    if (service?.jobStatus === undefined) return;
    const { id, meta, spec } = service;
    this.#world.user(`run ${spec.name}`, ({ control }, call) =>
      control.updateService({ id, version: meta.version, rollback: false, run: true }, call),
    );
  }

  remove(): void {
    const service = this.service();
    if (service === undefined) return;
    const { id, spec } = service;
    this.#world.user(`remove ${spec.name}`, ({ control }, call) =>
      control.removeService({ id }, call),
    );
  }

  /** Services that use it are rolled to the new version. */
  updateFile(): void {
    const { dice } = this.#world;
    const { secrets, configs } = this.#files();
    const secret = dice.maybe(secrets);
    const config = dice.maybe(configs);
    const keepServices = dice.happens(0.2);
    if (secret !== undefined && dice.happens(0.6)) {
      const { id, meta, spec } = secret;
      const next = { ...spec, data: this.#content() };
      this.#world.user(`update secret ${spec.name}`, async ({ control }, call) => {
        await control.updateSecret({ id, version: meta.version, spec: next, keepServices }, call);
      });
    } else if (config !== undefined) {
      const { id, meta, spec } = config;
      const next = { ...spec, data: this.#content() };
      this.#world.user(`update config ${spec.name}`, async ({ control }, call) => {
        await control.updateConfig({ id, version: meta.version, spec: next, keepServices }, call);
      });
    }
  }

  changeAvailability(): void {
    const node = this.worker();
    if (node === undefined) return;
    const availability = this.#world.dice.pick<NodeAvailability>(AVAILABILITY);
    this.#writeNode(node, { ...node.spec, availability }, `${availability} ${node.id}`);
  }

  label(): void {
    const node = this.worker();
    if (node === undefined) return;
    const labels = randomLabels(this.#world.dice);
    this.#writeNode(node, { ...node.spec, labels }, `label ${node.id} ${JSON.stringify(labels)}`);
  }

  worker(): Node | undefined {
    const nodes = [...this.#world.judge.view.list('node')];
    return this.#world.dice.maybe(nodes.filter((node) => node.manager === undefined));
  }

  service(): Service | undefined {
    return this.#world.dice.maybe([...this.#world.judge.view.list('service')]);
  }

  #spec(name: string, mode?: ServiceSpecInput['mode']): ServiceSpecInput {
    const { dice, judge } = this.#world;
    const others = [...judge.view.list('service')].map(({ spec }) => spec.name);
    const kept = mode === undefined ? {} : { mode };
    return randomSpec(dice, { name, others, files: this.#files(), ...this.#size, ...kept });
  }

  #files(): Files {
    const { view } = this.#world.judge;
    return {
      secrets: SECRETS.map((name) => view.secretByName(name)).filter((one) => one !== undefined),
      configs: CONFIGS.map((name) => view.configByName(name)).filter((one) => one !== undefined),
    };
  }

  #content(): Uint8Array {
    return new Uint8Array([this.#world.dice.between(0, 255), this.#world.dice.between(0, 255)]);
  }

  #write(service: Service, spec: ServiceSpecInput): void {
    const { id, meta } = service;
    this.#world.user(`update ${summary(spec)}`, ({ control }, call) =>
      control.updateService({ id, version: meta.version, spec, rollback: false }, call),
    );
  }

  #writeNode({ id, meta }: Node, spec: Node['spec'], what: string): void {
    this.#world.user(what, async ({ control }, call) => {
      await control.updateNode({ id, version: meta.version, spec }, call);
    });
  }
}

export function waitsForApproval({ updateStatus }: Service): boolean {
  const { waitsSince, until } = updateStatus?.canary ?? {};
  return updateStatus?.state === 'updating' && waitsSince !== undefined && until === undefined;
}

export function approve(world: SimWorld, { id, meta, spec }: Service): void {
  world.judge.userWill('approve', id);
  world.user(`approve ${spec.name}`, ({ control }, call) =>
    control.updateService(
      { id, version: meta.version, rollback: false, continueUpdate: true },
      call,
    ),
  );
}

function summary({ name, mode, task, update }: ServiceSpecInput): string {
  const size = mode?.kind === 'replicated' ? `x${mode.replicas}` : mode?.kind;
  return `${name} ${size} ${task.container.image} ${update?.order} p${update?.parallelism} ${update?.failureAction}`;
}
