/** Named volumes of this machine: `volumes/NAME/_data`, made when first wanted. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError } from '@swarmd/base';

import { errnoOf } from '../files/atomic-file.ts';
import { copyUp } from './copy-up.ts';
import { KeyedLock } from './keyed-lock.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;

export class VolumeStore {
  readonly #root: string;
  readonly #locks = new KeyedLock();

  constructor(stateDir: string) {
    this.#root = join(stateDir, 'volumes');
  }

  /**
   * The volume's directory. When it is made, it gets what the image has at the place it is mounted.
   * @throws SwarmError `invalid-argument` for a name that cannot be one.
   */
  ensure(name: string, content: string): Promise<string> {
    if (!NAME.test(name)) {
      throw new SwarmError(
        'invalid-argument',
        `"${name}" is not a volume's name: letters, digits, "_", "." or "-"; a folder of the node is a mount of kind bind`,
      );
    }
    return this.#locks.run(name, async () => {
      const data = join(this.#root, name, '_data');
      if (await exists(data)) return data;
      await mkdir(join(this.#root, name), { recursive: true, mode: 0o700 });
      await copyUp(content, data);
      return data;
    });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
