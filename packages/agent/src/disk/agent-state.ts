/**
 * What the agent remembers across restarts: its assignment, the newest status of each task, the
 * managers it knows. Secrets and the keys of encrypted networks are kept in `runDir` (memory) only, and are
 * gone after a boot, when no container is left that could have seen them.
 */
import { join } from 'node:path';

import type { ManagerAddress } from '@swarmd/api';
import { errorMessage, type Logger } from '@swarmd/base';
import type { AssignmentSet, NetworkState, TaskId, TaskStatus } from '@swarmd/model';

import { JsonFile } from './json-file.ts';

/** Newest status of each task of the assignment. */
export type Statuses = Readonly<Record<string, TaskStatus>>;

type Secrets = AssignmentSet['secrets'];
/** What is for memory only of the network's state; nothing without encrypted networks. */
type Confidential = Pick<NetworkState, 'encryption'>;

export class AgentState {
  readonly #assignment: JsonFile<Omit<AssignmentSet, 'secrets'>>;
  readonly #secrets: JsonFile<Secrets>;
  readonly #encryption: JsonFile<Confidential>;
  readonly #statuses: JsonFile<Statuses>;
  readonly #managers: JsonFile<readonly ManagerAddress[]>;
  readonly #logger: Logger;
  #savedSecrets: Secrets | undefined;
  #savedEncryption: NetworkState['encryption'];

  constructor(directories: { stateDir: string; runDir: string }, logger: Logger) {
    const folder = join(directories.stateDir, 'agent');
    this.#assignment = new JsonFile(join(folder, 'assignment.json'));
    this.#statuses = new JsonFile(join(folder, 'statuses.json'));
    this.#managers = new JsonFile(join(folder, 'known-managers.json'));
    this.#secrets = new JsonFile(join(directories.runDir, 'agent', 'secrets.json'));
    this.#encryption = new JsonFile(join(directories.runDir, 'agent', 'encryption.json'));
    this.#logger = logger;
  }

  async loadAssignment(): Promise<AssignmentSet> {
    const assignment = await this.#tolerant(this.#assignment.load());
    const secrets = (await this.#tolerant(this.#secrets.load())) ?? [];
    const encryption = (await this.#tolerant(this.#encryption.load()))?.encryption;
    const network = assignment?.network;
    return {
      tasks: [],
      configs: [],
      ...assignment,
      secrets,
      ...(network === undefined || encryption === undefined
        ? {}
        : { network: { ...network, encryption } }),
    };
  }

  async loadStatuses(): Promise<Statuses> {
    return (await this.#tolerant(this.#statuses.load())) ?? {};
  }

  /** As it was told last. */
  async loadManagers(): Promise<readonly ManagerAddress[]> {
    return (await this.#tolerant(this.#managers.load())) ?? [];
  }

  /** A full disk must not stop containers from being run: it is logged, and the next save may succeed. */
  async saveAssignment(set: AssignmentSet): Promise<void> {
    const { secrets, ...rest } = set;
    if (secrets !== this.#savedSecrets) {
      this.#savedSecrets = secrets;
      await this.#tolerant(this.#secrets.save(() => secrets));
    }
    await this.#tolerant(this.#assignment.save(() => withoutKeys(rest)));
    const encryption = set.network?.encryption;
    if (encryption === this.#savedEncryption) return;
    this.#savedEncryption = encryption;
    await this.#tolerant(
      this.#encryption.save(() => (encryption === undefined ? {} : { encryption })),
    );
  }

  saveStatuses(statuses: () => ReadonlyMap<TaskId, TaskStatus>): Promise<void> {
    return this.#tolerant(this.#statuses.save(() => Object.fromEntries(statuses())));
  }

  saveManagers(managers: readonly ManagerAddress[]): Promise<void> {
    return this.#tolerant(this.#managers.save(() => managers));
  }

  async #tolerant<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      this.#logger.error({ error: errorMessage(error) }, 'cannot use a file of the agent');
      return undefined;
    }
  }
}

function withoutKeys(set: Omit<AssignmentSet, 'secrets'>): Omit<AssignmentSet, 'secrets'> {
  if (set.network?.encryption === undefined) return set;
  const { encryption: _confidential, ...network } = set.network;
  return { ...set, network };
}
