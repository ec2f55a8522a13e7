/** A pull on its way: a line a layer, redrawn in place on a terminal; JSON lines elsewhere. */
import type { Image, PullEvent } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';

import { bytes } from './commands/figures.ts';
import type { Terminal } from './context.ts';

const DIGEST_SHOWN_CHARS = 12;
const BAR_CHARS = 30;

/** Consumes the news of a pull. @returns what they end with. */
export async function showPull(
  events: AsyncIterable<PullEvent>,
  terminal: Terminal,
): Promise<Image> {
  let drawn = 0;
  for await (const event of events) {
    if (!terminal.interactive) terminal.out(`${JSON.stringify(event)}\n`);
    if (event.kind === 'image') {
      const { kind: _kind, ...image } = event;
      return image;
    }
    if (!terminal.interactive) continue;
    const up = drawn === 0 ? '' : `\u001b[${drawn}A`;
    const lines = event.layers.map((layer) => lineOf(layer).slice(0, terminal.columns() - 1));
    terminal.err(`${up}${lines.map((line) => `\r\u001b[K${line}\n`).join('')}\u001b[J`);
    drawn = lines.length;
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
