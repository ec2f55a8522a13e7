/**
 * This node's part in encrypted networks: whether its kernel can, and what it calls the state that its kernel
 * holds. A state that once sent and is to be made anew would count packets from 0 again with the same
 * key: then the node takes another name for its state, and with it other keys. The others learn of it from
 * the managers. The notes live as long as the kernel does.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { NodeEncryption } from '@swarmd/model';

import { deriveKey } from './apply/derive-key.ts';
import { replaceFile } from './apply/notes.ts';
import type { Sealing } from './desired/encryption.ts';
import type { KernelObject, KernelObjects } from './desired/kernel-object.ts';

const INCARNATION_BYTES = 8;
/** Only for root, as the kernel's own keys are. */
const FILE_MODE = 0o600;

interface Notes {
  readonly incarnation: string;
  /** Digests of the states that packets were sent by under it. */
  readonly sent: readonly string[];
}

const NOTHING: Notes = { incarnation: '', sent: [] };

export class Seal {
  readonly lacks: string;
  readonly #file: string;
  readonly #listeners = new Set<() => void>();
  #notes: Notes;
  /** The name that is in the file. */
  #saved: string;
  #declared: NodeEncryption;

  private constructor(lacks: string, file: string, notes: Notes) {
    this.lacks = lacks;
    this.#file = file;
    this.#notes = notes;
    this.#saved = notes.incarnation;
    this.#declared = { lacks, incarnation: notes.incarnation, newestKey: 0 };
  }

  /** @param lacks what the kernel lacks; empty: it can encrypt. */
  static async open(runDir: string, lacks: string): Promise<Seal> {
    const folder = join(runDir, 'network');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, 'encryption.json');
    return new Seal(lacks, file, await load(file));
  }

  /** What the managers are to know. */
  get declared(): NodeEncryption {
    return this.#declared;
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * The objects to bring the kernel to. `desired` says what they are with a seal, or without; `own` is
   * this node's address.
   */
  async choose(options: {
    readonly wanted: boolean;
    readonly own: string;
    readonly current: KernelObjects;
    readonly desired: (sealing: Sealing | undefined) => KernelObjects;
  }): Promise<KernelObjects> {
    const { wanted, own, current, desired } = options;
    if (!wanted || this.lacks !== '') return desired(undefined);
    if (this.#notes.incarnation === '') this.#notes = fresh();
    let objects = desired(this.sealing);
    const sent = new Set(this.#notes.sent);
    const isReused = sendingStates(objects, own).some(
      (state) => sent.has(digestOf(state)) && !isThere(state, current),
    );
    if (isReused) {
      this.#notes = fresh();
      objects = desired(this.sealing);
    }
    const known = new Set(this.#notes.sent);
    const added = sendingStates(objects, own)
      .map(digestOf)
      .filter((digest) => !known.has(digest));
    // What has left the kernel may be wanted again as long as its name is in use.
    const all = [...this.#notes.sent, ...added].slice(-SENT_MAX);
    if (added.length > 0 || this.#saved !== this.#notes.incarnation) {
      await this.#save({ ...this.#notes, sent: all });
    }
    return objects;
  }

  get sealing(): Sealing | undefined {
    const { incarnation } = this.#notes;
    return incarnation === '' ? undefined : { incarnation, derive: deriveKey };
  }

  /** To be called once the kernel is as `choose` said. @param newestKey what it can receive by. */
  async programmed(options: { wanted: boolean; newestKey: number }): Promise<void> {
    const { wanted, newestKey } = options;
    // Nothing is left of it: what comes next has another name.
    if (!wanted && this.#notes.incarnation !== '') await this.#save(NOTHING);
    const { incarnation } = this.#notes;
    const next = { lacks: this.lacks, incarnation, newestKey: incarnation === '' ? 0 : newestKey };
    const { declared } = this;
    this.#declared = next;
    const isSame =
      declared.incarnation === next.incarnation && declared.newestKey === next.newestKey;
    if (!isSame) for (const listener of this.#listeners) listener();
  }

  async #save(notes: Notes): Promise<void> {
    this.#notes = notes;
    replaceFile(this.#file, JSON.stringify(notes), { mode: FILE_MODE });
    this.#saved = notes.incarnation;
  }
}

/** Some days of a thousand nodes; keys of states that old are in no ring any more. */
const SENT_MAX = 10_000;

function fresh(): Notes {
  return { incarnation: randomBytes(INCARNATION_BYTES).toString('hex'), sent: [] };
}

async function load(file: string): Promise<Notes> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Notes;
  } catch (error) {
    // Without notes nothing is known of what was sent: another name.
    if (error instanceof SyntaxError) return NOTHING;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NOTHING;
    throw error;
  }
}

function sendingStates(objects: KernelObjects, own: string): KernelObject[] {
  return [...objects.values()].filter(({ key }) => key.startsWith(`esp-state ${own} `));
}

function lineOf({ put }: KernelObject): string {
  return put.map(({ line }) => line).join('\n');
}

function isThere(state: KernelObject, current: KernelObjects): boolean {
  const found = current.get(state.key);
  return found !== undefined && lineOf(found) === lineOf(state);
}

/** Of the whole state with its key, which must not be in a file. */
function digestOf(state: KernelObject): string {
  return createHash('sha256').update(lineOf(state)).digest('base64');
}
