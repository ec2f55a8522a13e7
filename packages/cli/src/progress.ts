/** Live progress of a converging service: redrawn in place on a terminal, one line a change elsewhere. */
import type { Progress } from '@swarmd/client';

import type { Terminal } from './context.ts';
import { oneLine } from './output.ts';

/** More slots than this are summed up instead of listed. */
const SLOTS_SHOWN_MAX = 12;

export class ProgressPrinter {
  readonly #terminal: Terminal;
  #linesDrawn = 0;
  #lastSummary = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(progress: Progress): void {
    if (this.#terminal.interactive) this.#redraw(progress);
    else this.#log(progress);
  }

  #redraw(progress: Progress): void {
    const lines = [
      `overall progress: ${progress.running} out of ${progress.wanted} tasks${completed(progress)}`,
    ];
    if (progress.wanted <= SLOTS_SHOWN_MAX) {
      for (const slot of progress.slots)
        lines.push(
          `${slot.slot}/${progress.wanted}: ${slot.state}${because(slot.error || (slot.doing ?? ''))}`,
        );
    } else {
      lines.push(...errors(progress), ...busy(progress).slice(0, SLOTS_SHOWN_MAX));
    }
    // A line that wraps would be counted as one and drawn as two.
    const width = this.#terminal.columns();
    const cut = (line: string): string =>
      line.length < width ? line : `${line.slice(0, Math.max(0, width - 2))}…`;
    const up = this.#linesDrawn === 0 ? '' : `\u001b[${this.#linesDrawn}A`;
    this.#terminal.err(
      `${up}${lines.map((line) => `\r\u001b[K${cut(oneLine(line))}\n`).join('')}\u001b[J`,
    );
    this.#linesDrawn = lines.length;
  }

  #log(progress: Progress): void {
    const summary = oneLine(
      [
        `${progress.running} out of ${progress.wanted} tasks${completed(progress) || ' running'}`,
        ...errors(progress),
        ...busy(progress),
      ].join('; '),
    );
    if (summary !== this.#lastSummary) this.#terminal.err(`${summary}\n`);
    this.#lastSummary = summary;
  }
}

function completed(progress: Progress): string {
  return progress.goal === 'complete' ? ' completed' : '';
}

function because(error: string): string {
  return error === '' ? '' : ` (${error})`;
}

/** Which tasks take their time over what. */
function busy(progress: Progress): string[] {
  return progress.slots.flatMap(({ slot, doing }) =>
    doing === undefined ? [] : [`task ${slot}: ${doing}`],
  );
}

/** Each distinct error once, with how many slots have it. */
function errors(progress: Progress): string[] {
  const counts = new Map<string, number>();
  for (const { error } of progress.slots)
    if (error !== '') counts.set(error, (counts.get(error) ?? 0) + 1);
  return [...counts].map(([error, count]) => `${count}x ${error}`);
}
