/** /etc/passwd and /etc/group of images, which say who a container runs as. */
import { readInRoot } from '../files/in-root.ts';
import type { ImageConfig } from '../image/manifest.ts';
import { USER_FILES_KEPT_CHARS } from '../limits.ts';

export interface UserTexts {
  readonly passwd: string;
  readonly group: string;
}

/** Read once for each image: what its layers have does not change, and reading it takes a dozen turns of threads. */
export class UserFiles {
  /** The store gives the same configuration for as long as the image is here. */
  readonly #known = new WeakMap<ImageConfig, UserTexts>();

  /** @param root a fresh root of this image, in which nothing ran yet. */
  async of(config: ImageConfig, root: string): Promise<UserTexts> {
    const known = this.#known.get(config);
    if (known !== undefined) return known;
    const [passwd, group] = await Promise.all([
      readInRoot(root, '/etc/passwd'),
      readInRoot(root, '/etc/group'),
    ]);
    const texts = { passwd, group };
    if (passwd.length + group.length <= USER_FILES_KEPT_CHARS) this.#known.set(config, texts);
    return texts;
  }
}
