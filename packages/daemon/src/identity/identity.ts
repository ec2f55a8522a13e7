/**
 * Who this machine is in its cluster, on disk: `identity/node.pem` (key and certificate in one file,
 * so that both are replaced together), `ca.pem`, `node.json`. `node.json` is written last and
 * removed first: an identity without it does not exist.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { errorMessage, SwarmError } from '@swarmd/base';
import type { ClusterId, NodeId, NodeRole } from '@swarmd/model';

export interface Credentials {
  readonly keyPem: string;
  readonly certificatePem: string;
  /** Roots that other nodes' certificates descend from. */
  readonly caPem: string;
}

/** What must be known of the node besides its credentials to continue after a restart. */
export interface Membership {
  readonly nodeId: NodeId;
  readonly clusterId: ClusterId;
  readonly role: NodeRole;
  /** host:port of its cluster API, as others reach it. */
  readonly advertise: string;
  /** What swarmd was told to advertise when `advertise` was chosen; a change of it is followed. */
  readonly configuredAdvertise?: string;
  /** host:port it listens on. */
  readonly listen: string;
  /** Its address for the traffic between containers, where that is another. */
  readonly dataPath?: string;
  /** Of managers, and of workers that have a place in Raft and could not take it yet. */
  readonly raftId?: number;
  /** A manager that the others have admitted, and that has not yet served. */
  readonly joining?: boolean;
  /** Managers it was told at join, host:port. */
  readonly managers: readonly string[];
}

export interface Identity {
  readonly credentials: Credentials;
  readonly membership: Membership;
}

const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
const CERTIFICATE_START = '-----BEGIN CERTIFICATE-----';

export class IdentityStore {
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#folder = join(stateDir, 'identity');
  }

  /**
   * Undefined when this machine is in no cluster.
   * @throws SwarmError `data-loss` when some of it is there but not all.
   */
  async load(): Promise<Identity | undefined> {
    const json = await this.#read('node.json');
    if (json === undefined) return undefined;
    const nodePem = await this.#read('node.pem');
    const caPem = await this.#read('ca.pem');
    const at = nodePem?.indexOf(CERTIFICATE_START) ?? -1;
    if (nodePem === undefined || caPem === undefined || at < 0) {
      throw new SwarmError('data-loss', `${this.#folder} lacks node.pem or ca.pem`);
    }
    try {
      return {
        credentials: { keyPem: nodePem.slice(0, at), certificatePem: nodePem.slice(at), caPem },
        membership: JSON.parse(json) as Membership,
      };
    } catch (cause) {
      throw new SwarmError('data-loss', `${this.#folder}/node.json: ${errorMessage(cause)}`, {
        cause,
      });
    }
  }

  async save(identity: Identity): Promise<void> {
    await this.saveCredentials(identity.credentials);
    await this.saveMembership(identity.membership);
  }

  async saveCredentials({ keyPem, certificatePem, caPem }: Credentials): Promise<void> {
    await this.#write('ca.pem', caPem);
    await this.#write('node.pem', `${keyPem.trimEnd()}\n${certificatePem.trimEnd()}\n`);
  }

  async saveMembership(membership: Membership): Promise<void> {
    await this.#write('node.json', `${JSON.stringify(membership, undefined, 2)}\n`);
  }

  async remove(): Promise<void> {
    await rm(join(this.#folder, 'node.json'), { force: true });
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #read(name: string): Promise<string | undefined> {
    try {
      return await readFile(join(this.#folder, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #write(name: string, text: string): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: PRIVATE_FOLDER });
    const path = join(this.#folder, name);
    await writeFile(`${path}.new`, text, { mode: PRIVATE_FILE, flush: true });
    await rename(`${path}.new`, path);
  }
}
