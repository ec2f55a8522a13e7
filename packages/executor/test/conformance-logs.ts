/** What every executor must do with what containers print. */
import { SwarmError } from '@swarmd/base';
import { logLines, type LogChunk, type LogLine } from '@swarmd/model';
import { expect, it } from 'vitest';

import type { LogOptions } from '../src/index.ts';
import type { Harness, Program } from './conformance.ts';

type Make = (program: Program) => Promise<string>;

const signal = (): AbortSignal => AbortSignal.timeout(20_000);

export function logs(harness: () => Harness, make: { started: Make }): void {
  const lines = ['one', 'two', 'three', 'four'];
  const read = async (id: string, options: LogOptions): Promise<LogLine[]> =>
    Array.fromAsync(linesOf(harness().executor.logs(id, options, signal())));

  it('gives all lines in order, to their stream, also after the end', async () => {
    const id = await make.started({ kind: 'print', lines });
    const followed = await read(id, { follow: true });
    await harness().executor.wait(id, signal());
    const all = await read(id, { follow: false });
    expect(all).toEqual(followed);
    for (const [stream, wanted] of [
      ['stdout', ['one', 'three']],
      ['stderr', ['two', 'four']],
    ] as const) {
      expect(all.filter((line) => line.stream === stream).map(text)).toEqual(wanted);
    }
    expect((await read(id, { follow: false, tail: 2 })).length).toBe(2);
    expect(await read(id, { follow: true, tail: 1 })).toEqual(all.slice(-1));
    expect(await read(id, { follow: false, tail: 0 })).toEqual([]);
    expect(await read(id, { follow: false, sinceMs: Date.now() + 60_000 })).toEqual([]);
    expect(await read(id, { follow: true, untilMs: Date.now() - 60_000 })).toEqual([]);
    const [, ...later] = all.toSorted((a, b) => a.timestamp - b.timestamp);
    expect(await read(id, { follow: false, untilMs: later.at(-1)?.timestamp })).toEqual(all);
    await harness().executor.remove(id, signal());
    await expect(read(id, { follow: false })).rejects.toMatchObject({ code: 'not-found' });
  });

  it('goes on behind a cursor', async () => {
    const id = await make.started({ kind: 'print', lines });
    await harness().executor.wait(id, signal());
    const all = await read(id, { follow: false });
    const chunks = await Array.fromAsync(harness().executor.logs(id, { follow: false }, signal()));
    // The wire knows no other fields, and refuses what has them.
    const fields = ['cursor', 'data', 'lengths', 'notice', 'streams', 'timestamps'];
    for (const chunk of chunks) expect(Object.keys(chunk).toSorted()).toEqual(fields);
    expect(await read(id, { follow: true, after: chunks.at(-1)?.cursor })).toEqual([]);
    const [begun] = await Array.fromAsync(
      harness().executor.logs(id, { follow: true, tail: 0 }, signal()),
    );
    const seen = [...(begun === undefined ? [] : logLines(begun))];
    expect([...seen, ...(await read(id, { follow: true, after: begun?.cursor }))]).toEqual(
      begun === undefined ? all : [],
    );
    await harness().executor.remove(id, signal());
  });

  it('stops following with its signal', async () => {
    const id = await make.started({ kind: 'forever' });
    const controller = new AbortController();
    const reading = Array.fromAsync(
      harness().executor.logs(id, { follow: true }, controller.signal),
    );
    controller.abort(new SwarmError('cancelled', 'enough'));
    await expect(reading).rejects.toMatchObject({ code: 'cancelled' });
    await harness().executor.remove(id, signal());
  });
}

export async function* linesOf(chunks: AsyncIterable<LogChunk>): AsyncGenerator<LogLine> {
  for await (const chunk of chunks) {
    for (const line of logLines(chunk)) yield { ...line, data: Buffer.from(line.data) };
  }
}

export function text(line: LogLine): string {
  return Buffer.from(line.data).toString();
}
