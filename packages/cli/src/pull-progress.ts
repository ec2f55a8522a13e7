/** Layers on their way: a line each, redrawn in place on a terminal; JSON lines elsewhere. */
import type { Image, PullEvent } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';

import { bytes } from './output.ts';
import type { Terminal } from './context.ts';

const DIGEST_SHOWN_CHARS = 12;
const BAR_CHARS = 30;

export class LayerPrinter {
  readonly #terminal: Terminal;
  #drawn = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(event: PullEvent): void {
    const { interactive, out, err, columns } = this.#terminal;
    if (!interactive) out(`${JSON.stringify(event)}\n`);
    else if (event.kind === 'progress') {
      const up = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A`;
      const lines = event.layers.map((layer) => lineOf(layer).slice(0, columns() - 1));
      err(`${up}${lines.map((line) => `\r\u001b[K${line}\n`).join('')}\u001b[J`);
      this.#drawn = lines.length;
    }
  }
}

/** Consumes the news of a pull. @returns what they end with. */
export async function showPull(
  events: AsyncIterable<PullEvent>,
  terminal: Terminal,
): Promise<Image> {
  const printer = new LayerPrinter(terminal);
  for await (const event of events) {
    printer.show(event);
    if (event.kind !== 'image') continue;
    const { kind: _kind, ...image } = event;
    return image;
  }
  throw new SwarmError('internal', 'the pull ended without an image');
}

type Layer = Extract<PullEvent, { kind: 'progress' }>['layers'][number];

function lineOf({ digest, state, bytes: done, totalBytes }: Layer): string {
  const name = digest.replace('sha256:', '').slice(0, DIGEST_SHOWN_CHARS);
  if (state !== 'fetching') return `${name}: ${state}`;
  const filled = Math.round((done / Math.max(1, totalBytes)) * BAR_CHARS);
  const bar = '='.repeat(filled).padEnd(BAR_CHARS);
  return `${name}: [${bar}] ${bytes(done)} of ${bytes(totalBytes)}`;
}
