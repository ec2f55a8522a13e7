/**
 * Seccomp programs compiled by crun, kept for the next container with the same profile: compiling
 * takes 12 to 20 ms, passing the program 1. The profile itself always stays in the bundle, so a
 * runtime that ignores the program still confines the container.
 */
import { createHash } from 'node:crypto';
import { release } from 'node:os';
import { join } from 'node:path';

import { readIfExists, writeAtomically } from '../files/atomic-file.ts';
import type { Runtime } from './runtime.ts';
import type { SeccompProfile } from './seccomp.ts';

const PREFIX = 'seccomp-';

export class SeccompCache {
  readonly #folder: string;
  readonly #programs = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The program, base64, or the empty string when it has not been compiled yet. */
  async find(profile: SeccompProfile, runtime: Runtime): Promise<string> {
    if (!runtime.isCrun) return '';
    const key = keyOf(profile, runtime);
    const known =
      this.#programs.get(key) ?? String((await readIfExists(join(this.#folder, key))) ?? '');
    if (known !== '') this.#programs.set(key, known);
    return known;
  }

  /** To be called once a container with this profile has been created without a program. */
  async learn(profile: SeccompProfile, containerId: string, runtime: Runtime): Promise<void> {
    const key = keyOf(profile, runtime);
    if (!runtime.isCrun || this.#programs.has(key)) return;
    const program = runtime.seccompBpf(containerId);
    if (program === '') return;
    this.#programs.set(key, program);
    await writeAtomically(join(this.#folder, key), program, { sync: false });
  }
}

/** A newer runtime or kernel may compile another program. */
function keyOf(profile: SeccompProfile, runtime: Runtime): string {
  const text = JSON.stringify([profile, runtime.version, release()]);
  return `${PREFIX}${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}
