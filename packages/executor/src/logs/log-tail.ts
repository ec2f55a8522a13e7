/** Where to begin reading for the last lines: from the end backwards, so that the rest is not read. */
import { open } from 'node:fs/promises';

import { errnoOf } from '../files/atomic-file.ts';
import { LOG_CHUNK_BYTES } from '../limits.ts';
import { logFiles } from './log-files.ts';
import { emptyRow, parseRow, type RowFormat } from './log-rows.ts';
import type { LogPosition } from './log-scanner.ts';

const NEWLINE = 0x0a;
/** Lines in pieces may have begun a few lines earlier, behind those of the other stream. */
const MARGIN_LINES = 32;

/** At or before the first of the last `count` lines. Compressed files are begun at their start. */
export async function tailPosition(
  path: string,
  rows: RowFormat,
  count: number,
): Promise<LogPosition> {
  let missing = count + MARGIN_LINES;
  let position: LogPosition = { generation: 0, offset: 0, skip: 0 };
  for (const file of (await logFiles(path)).toReversed()) {
    const { generation } = file;
    if (file.packing !== undefined) return { generation, offset: 0, skip: 0 };
    const found = await fromEnd(file.path, rows, missing);
    // It went away: what comes after it is there.
    if (found === undefined) return position;
    position = { generation, offset: found.offset, skip: 0 };
    missing -= found.lines;
    if (missing <= 0) return position;
  }
  return position;
}

/** Offset of the row that `wanted` whole lines begin with, or of the file's first. */
async function fromEnd(
  path: string,
  rows: RowFormat,
  wanted: number,
): Promise<{ readonly offset: number; readonly lines: number } | undefined> {
  try {
    await using file = await open(path, 'r');
    let end = (await file.stat()).size;
    let rest = Buffer.alloc(0);
    let lines = 0;
    const row = emptyRow();
    while (end > 0) {
      const start = Math.max(0, end - LOG_CHUNK_BYTES);
      const block = Buffer.allocUnsafe(end - start);
      await file.read(block, 0, block.length, start);
      const bytes = Buffer.concat([block, rest]);
      // The first row of a block may begin in the block before.
      const first = start === 0 ? 0 : bytes.indexOf(NEWLINE) + 1 || bytes.length;
      let rowEnd = bytes.lastIndexOf(NEWLINE);
      while (rowEnd >= first) {
        const before = rowEnd === 0 ? -1 : bytes.lastIndexOf(NEWLINE, rowEnd - 1);
        const rowStart = before + 1;
        if (rowStart < first) break;
        if (parseRow(rows, row, { bytes, from: rowStart, to: rowEnd }) && !row.isPartial)
          lines += 1;
        if (lines >= wanted) return { offset: start + rowStart, lines };
        rowEnd = before;
      }
      rest = bytes.subarray(0, first);
      end = start;
    }
    return { offset: 0, lines };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
