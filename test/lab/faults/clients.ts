/**
 * Clients that keep a history: registers that are read and changed through every manager, and names
 * that are made and must stay. A register is the label of a service without tasks; a change names the
 * version it replaces.
 */
import { openCluster, type ClusterClient } from '@swarmd/client';
import { errorCode, type ErrorCode } from '@swarmd/base';
import type { Operation, RegisterOperation } from '@swarmd/base/testing';
import { waitUntil, type Host, type Lab } from '@swarmd/lab';
import type { Service, ServiceId } from '@swarmd/model';

const OPERATION_MS = 5_000;
const PAUSE_MS = 20;
const ATTEMPTS = 3;
const HEALED_MS = 60_000;
const CLIENTS_PER_MANAGER = 2;
const LABEL = 'value';
/** What a register holds when it is made. */
export const INITIAL = 'first';

/** Refusals: certainly nothing was changed. */
const NO_EFFECT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unavailable',
  'out-of-date',
  'resource-exhausted',
]);

export interface Counts {
  reads: number;
  changes: number;
  names: number;
  refused: number;
  unknown: number;
}

export class History {
  /** By name of the register. */
  readonly registers = new Map<string, Operation<RegisterOperation>[]>();
  /** Names whose making was acknowledged. */
  readonly acknowledged = new Set<string>();
  readonly counts: Counts = { reads: 0, changes: 0, names: 0, refused: 0, unknown: 0 };

  add(name: string, operation: Operation<RegisterOperation>): void {
    const known = this.registers.get(name);
    if (known === undefined) this.registers.set(name, [operation]);
    else known.push(operation);
  }
}

/** The API of a host's manager, opened anew when the host was switched on anew. */
class Connection {
  readonly #host: Host;
  #pid: number | undefined;
  #client: (ClusterClient & Disposable) | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Undefined while the host is off. */
  get client(): ClusterClient | undefined {
    const pid = this.#host.initPid;
    if (pid !== this.#pid) this.close();
    this.#pid = pid;
    if (pid === undefined) return undefined;
    this.#client ??= openCluster(`/proc/${pid}/root/run/swarmd/control.sock`);
    return this.#client;
  }

  close(): void {
    this.#client?.[Symbol.dispose]();
    this.#client = undefined;
  }
}

const now = (): number => performance.now();
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
const call = (): { signal: AbortSignal; timeoutMs: number } => ({
  signal: AbortSignal.timeout(2 * OPERATION_MS),
  timeoutMs: OPERATION_MS,
});

export class Clients {
  readonly history = new History();
  readonly #lab: Lab;
  readonly #registers: { readonly name: string; readonly id: ServiceId }[] = [];
  readonly #running: Promise<void>[] = [];
  #stopped = false;
  /** In all names: several runs may share a lab. */
  readonly #run: string;
  #sequence = 0;

  constructor(lab: Lab, run: string) {
    this.#lab = lab;
    this.#run = run;
  }

  /** Makes the registers, then starts clients at every manager. */
  async start(registers: number): Promise<void> {
    const [first] = this.#lab.nodes;
    const client = first === undefined ? undefined : new Connection(first).client;
    for (let n = 0; n < registers; n += 1) {
      const name = `${this.#run}-register-${n}`;
      const spec = {
        name,
        labels: { [LABEL]: INITIAL },
        mode: { kind: 'replicated', replicas: 0 },
        task: { container: { image: 'nothing:1' } },
      } as const;
      const made = await client?.control.createService({ spec }, call());
      if (made !== undefined) this.#registers.push({ name, id: made.id });
    }
    for (const host of this.#lab.nodes) {
      for (let n = 0; n < CLIENTS_PER_MANAGER; n += 1) this.#running.push(this.#work(host, n));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #work(host: Host, number: number): Promise<void> {
    const connection = new Connection(host);
    for (let turn = number; !this.#stopped; turn += 1) {
      const register = this.#registers[turn % this.#registers.length];
      const { client } = connection;
      if (client !== undefined && register !== undefined) {
        const seen = await this.#read(client, register);
        if (seen !== undefined) await this.#change(client, register.name, seen);
        if (turn % 4 === 0) await this.#make(client, host.name);
      }
      await pause();
    }
    connection.close();
  }

  /** Every register as each manager sees it at the end: part of the history. */
  async readEverywhere(): Promise<void> {
    for (const host of this.#lab.nodes) {
      const connection = new Connection(host);
      const { client } = connection;
      if (client === undefined) throw new Error(`${host.name} is off`);
      for (const register of this.#registers) {
        const what = `${host.name} to answer a read, now that all is healed`;
        await waitUntil({ what, timeoutMs: HEALED_MS }, () => this.#read(client, register));
      }
      connection.close();
    }
  }

  async #read(
    client: ClusterClient,
    register: { name: string; id: ServiceId },
  ): Promise<Service | undefined> {
    const invoked = now();
    try {
      const service = await client.control.getService({ id: register.id }, call());
      const value = service.spec.labels[LABEL] ?? '';
      this.history.add(register.name, {
        invoked,
        completed: now(),
        input: { kind: 'read', value },
      });
      this.history.counts.reads += 1;
      return service;
    } catch (error) {
      // Nobody may say that a register is gone.
      if (errorCode(error) === 'not-found') throw error;
      this.history.counts.refused += 1;
      return undefined;
    }
  }

  async #change(client: ClusterClient, name: string, seen: Service): Promise<void> {
    const from = seen.spec.labels[LABEL] ?? '';
    const to = `v${(this.#sequence += 1)}`;
    const spec = { ...seen.spec, labels: { [LABEL]: to } };
    const { id, meta } = seen;
    const request = { id, version: meta.version, spec, rollback: false };
    const invoked = now();
    const outcome = await this.#attempts((options) =>
      client.control.updateService(request, options),
    );
    if (outcome === 'refused') return;
    this.history.counts.changes += 1;
    const completed = outcome === 'done' ? now() : undefined;
    this.history.add(name, { invoked, completed, input: { kind: 'change', from, to } });
  }

  async #make(client: ClusterClient, prefix: string): Promise<void> {
    const name = `${this.#run}-${prefix}-${(this.#sequence += 1)}`;
    const spec = { name, labels: {}, data: Buffer.from(name) };
    const outcome = await this.#attempts((options) =>
      client.control.createConfig({ spec }, options),
    );
    if (outcome !== 'done') return;
    this.history.acknowledged.add(name);
    this.history.counts.names += 1;
  }

  /** One request, repeated under its id while its outcome is unknown: it takes effect once. */
  async #attempts(
    ask: (options: ReturnType<typeof call> & { requestId: string }) => Promise<unknown>,
  ): Promise<'done' | 'refused' | 'unknown'> {
    const requestId = `${this.#run}-${(this.#sequence += 1)}`;
    let unknown = false;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        await ask({ ...call(), requestId });
        return 'done';
      } catch (error) {
        if (!NO_EFFECT.has(errorCode(error))) unknown = true;
        if (!unknown) break;
      }
      await pause();
    }
    this.history.counts[unknown ? 'unknown' : 'refused'] += 1;
    return unknown ? 'unknown' : 'refused';
  }
}
