/** A container of this host and the program in its namespace. */
import type { NetworkId } from '@swarmd/model';

import { addressesOf, subnetRoutes, type AttachmentNote } from './desired/attachment.ts';
import { firstHost } from './desired/addresses.ts';
import { taskNetns } from './desired/names.ts';
import { diffProgram, replaceProgram, type NftProgram } from './desired/nft-program.ts';
import type { StateIndex } from './desired/state-index.ts';
import type { Step } from './desired/step.ts';
import { deadBackends, forgetLines, taskPrograms } from './desired/task-program.ts';
import { Coalescer } from './apply/coalescer.ts';
import { runSteps } from './apply/kernel.ts';
import { listNetns } from './apply/listing.ts';

export class LocalTask {
  readonly note: AttachmentNote;
  /** True from the moment its namespace is being taken down: failures in it mean nothing then. */
  leaving = false;
  /** Settles when the namespace is complete, or could not be made. */
  made: Promise<void> = Promise.resolve();
  /** What its tables hold and the state that was made from; undefined when that is not known. */
  #programmed: { readonly programs: readonly NftProgram[]; readonly index: StateIndex } | undefined;
  /** Routes to further subnets that are there; those of an earlier life are replaced by the same. */
  readonly #routes = new Set<string>();
  /** Arguments of conntrack that are still to be run here. */
  readonly #forgettable: string[] = [];
  readonly #wanted: () => StateIndex | undefined;
  readonly #sync = new Coalescer(() => this.#program());

  constructor(note: AttachmentNote, wanted: () => StateIndex | undefined) {
    this.note = note;
    this.#wanted = wanted;
  }

  get namespace(): string {
    return `/run/netns/${taskNetns(this.note.taskId)}`;
  }

  get addresses(): readonly string[] {
    return addressesOf(this.note);
  }

  get networks(): readonly NetworkId[] {
    return this.note.networks.map(({ networkId }) => networkId);
  }

  /** False for a container without networks: there is nothing to program in it. */
  get isProgrammed(): boolean {
    return this.note.isolated !== true;
  }

  programsFor(index: StateIndex): NftProgram[] {
    return taskPrograms({
      index,
      taskId: this.note.taskId,
      networks: this.networks,
      gateway: firstHost(index.state.self.gatewaySubnet),
    });
  }

  /** The next sync replaces the whole table, and the routes. */
  distrust(): void {
    this.#programmed = undefined;
    this.#routes.clear();
  }

  /** Notes that the namespace was made with these programs. */
  madeWith(programs: readonly NftProgram[], index: StateIndex): void {
    this.#programmed = { programs, index };
  }

  /** The last of what makes a new namespace complete. */
  async complete(index: StateIndex): Promise<void> {
    await this.#programRoutes(index);
  }

  /** Brings the namespace's table to the newest state; at once when it is there already. */
  sync(): Promise<void> {
    return this.#sync.request();
  }

  async #program(): Promise<void> {
    const index = this.#wanted();
    const before = this.#programmed;
    if (index === undefined || before?.index === index || !this.isProgrammed) return;
    const programs = this.programsFor(index);
    const text = programs
      .map((program, at) => {
        const known = before?.programs[at];
        return known === undefined ? replaceProgram(program) : diffProgram(known, program);
      })
      .join('');
    const netns = taskNetns(this.note.taskId);
    this.#forgettable.push(...this.#forgetLines(before?.index, index));
    // Not known while it is under way: after a failure the whole table is replaced.
    this.#programmed = undefined;
    if (text !== '') await this.#unlessGone([{ kind: 'nft', netns, text }]);
    await this.#programRoutes(index);
    this.#programmed = { programs, index };
  }

  async #programRoutes(index: StateIndex): Promise<void> {
    const wanted = subnetRoutes(this.note, index);
    const lines = wanted.filter((line) => !this.#routes.has(line));
    if (lines.length === 0) return;
    await this.#unlessGone([{ kind: 'ip', netns: taskNetns(this.note.taskId), lines }]);
    for (const line of lines) this.#routes.add(line);
  }

  /** Ends connections to backends that are gone, so that their clients hear of it at once. */
  async forget(more: readonly string[] = []): Promise<void> {
    const lines = [...this.#forgettable.splice(0), ...more];
    if (lines.length === 0) return;
    const netns = taskNetns(this.note.taskId);
    await this.#unlessGone([{ kind: 'forget-connections', netns, lines }]);
  }

  /** A namespace that somebody removed must not keep the rest of the host from being programmed. */
  async #unlessGone(steps: readonly Step[]): Promise<void> {
    try {
      await runSteps(steps);
    } catch (error) {
      if (this.leaving) return;
      if ((await listNetns()).includes(taskNetns(this.note.taskId))) throw error;
    }
  }

  #forgetLines(before: StateIndex | undefined, next: StateIndex): string[] {
    return before === undefined ? [] : forgetLines(deadBackends(before, next, this.networks), next);
  }
}
