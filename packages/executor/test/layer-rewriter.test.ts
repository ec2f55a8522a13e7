/** What leaves the rewriter, as a walk over its blocks reads it. */
import { SwarmError } from '@swarmd/base';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { LayerRewriter } from '../src/unpack/layer-rewriter.ts';
import { parsePax, readLink, readName, readNumber, typeOf } from '../src/unpack/tar-header.ts';
import {
  directory,
  file,
  hardlink,
  symlink,
  tarOf,
  type TestEntry,
} from './fixtures/tar-writer.ts';

interface SeenEntry {
  readonly type: string;
  readonly name: string;
  readonly link: string;
  readonly mode: number;
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
}

function rewrite(archive: Buffer, cuts: readonly number[] = []): Buffer {
  const rewriter = new LayerRewriter();
  const output: Buffer[] = [];
  let start = 0;
  for (const end of [...cuts.toSorted((a, b) => a - b), archive.length]) {
    output.push(...rewriter.push(archive.subarray(start, end)).map((piece) => Buffer.from(piece)));
    start = end;
  }
  return Buffer.concat([...output, ...rewriter.end()]);
}

function entriesOf(archive: Buffer): SeenEntry[] {
  const entries: SeenEntry[] = [];
  let pax = new Map<string, Buffer>();
  for (let position = 0; position < archive.length;) {
    const header = archive.subarray(position, position + 512);
    if (header.every((byte) => byte === 0)) break;
    const size = Number(pax.get('size')?.toString() ?? readNumber(header, 'size'));
    const data = archive.subarray(position + 512, position + 512 + size);
    position += 512 + Math.ceil(size / 512) * 512;
    if (typeOf(header) === 'x') {
      pax = parsePax(Buffer.from(data));
      continue;
    }
    const text = (key: string): string | undefined => pax.get(key)?.toString();
    entries.push({
      type: typeOf(header),
      name: text('path') ?? readName(header),
      link: text('linkpath') ?? readLink(header),
      mode: readNumber(header, 'mode'),
      data: data.toString('latin1'),
      attributes: Object.fromEntries(
        [...pax]
          .filter(([key]) => key.includes('xattr'))
          .map(([key, value]) => [key, value.toString()]),
      ),
    });
    pax = new Map();
  }
  return entries;
}

/** Nothing for an archive that is refused with one of our own errors. */
function entriesOrNone(archive: Buffer): SeenEntry[] {
  try {
    return entriesOf(rewrite(archive));
  } catch (error) {
    if (error instanceof SwarmError) return [];
    throw error;
  }
}

const seen = (...entries: TestEntry[]): SeenEntry[] => entriesOf(rewrite(tarOf(entries)));
const OPAQUE = 'SCHILY.xattr.trusted.overlay.opaque';

describe('layer rewriter', () => {
  it('keeps files, directories, links and devices as they are', () => {
    const device: TestEntry = { name: 'dev/x', type: '4', major: 8, minor: 1, mode: 0o660 };
    const result = seen(
      directory('d', { mode: 0o1777 }),
      file('d/f', 'content', 0o4755),
      symlink('s', '/etc'),
      hardlink('h', 'd/f'),
      device,
    );
    expect(
      result.map(({ type, name, link, mode, data }) => [type, name, link, mode, data]),
    ).toEqual([
      ['5', 'd/', '', 0o1777, ''],
      ['0', 'd/f', '', 0o4755, 'content'],
      ['2', 's', '/etc', 0o644, ''],
      ['1', 'h', 'd/f', 0o644, ''],
      ['4', 'dev/x', '', 0o660, ''],
    ]);
  });

  it('turns whiteouts into character devices 0:0', () => {
    expect(seen(file('a/.wh.gone', ''))).toMatchObject([{ type: '3', name: 'a/gone' }]);
  });

  it('turns opaque markers into an attribute of the directory, as the layer described it', () => {
    const result = seen(
      directory('a', { mode: 0o700 }),
      file('a/.wh..wh..opq', ''),
      file('.wh..wh..opq', ''),
    );
    expect(result).toMatchObject([
      { name: 'a/', attributes: {} },
      { name: 'a/', type: '5', mode: 0o700, attributes: { [OPAQUE]: 'y' } },
      { name: './', type: '5', attributes: { [OPAQUE]: 'y' } },
    ]);
  });

  it('drops attributes that steer overlayfs, and forged whiteouts', () => {
    const pax = { 'SCHILY.xattr.trusted.overlay.redirect': '/etc', 'SCHILY.xattr.user.ok': '1' };
    const forged: TestEntry = { name: 'x', type: '3', major: 0, minor: 0 };
    expect(seen(directory('r', { pax }), forged)).toMatchObject([
      { name: 'r/', attributes: { 'SCHILY.xattr.user.ok': '1' } },
    ]);
  });

  it.each<[string, TestEntry[]]>([
    ['a name that climbs', [file('../x', '')]],
    ['a name that climbs in the middle', [file('a/../../x', '')]],
    ['a pax name that climbs', [file('x', '', 0o644), { name: 'y', pax: { path: 'a/../../x' } }]],
    ['a sparse name that climbs', [{ name: 'y', pax: { 'GNU.sparse.name': '../x' } }]],
    ['a hard link that climbs', [hardlink('x', '../../etc/shadow')]],
    ['a pax link that climbs', [{ name: 'x', type: '1', link: 'a', pax: { linkpath: '../x' } }]],
    ['a NUL in a pax name', [{ name: 'x', pax: { path: 'a\0b' } }]],
    ['a whiteout of "."', [file('a/.wh..', '')]],
    ['a whiteout of ".."', [file('a/.wh...', '')]],
    ['a whiteout of nothing', [file('a/.wh.', '')]],
    ['an unknown type', [{ name: 'x', type: 'D', data: 'Y/etc/passwd\0' }]],
    ['a file in place of the root', [symlink('./', '/')]],
    ['a negative size', [{ name: 'x', pax: { size: '-1' } }]],
    ['a time that is none', [{ name: 'x', pax: { mtime: '$(reboot)' } }]],
  ])('refuses %s', (_, entries) => {
    expect(() => rewrite(tarOf(entries))).toThrow(/^the layer is/);
  });

  it('takes absolute names as relative to the layer', () => {
    expect(seen(file('/etc/x', ''), hardlink('/y', '/etc/x'))).toMatchObject([
      { name: 'etc/x' },
      { name: 'y', link: 'etc/x' },
    ]);
  });

  it('takes archives without their last padding and end marks', () => {
    const archive = tarOf([file('a', 'x'.repeat(1000))]);
    const bare = rewrite(archive.subarray(0, 512 + 1000));
    expect(bare).toEqual(rewrite(archive));
    expect(bare.length % 512).toBe(0);
  });

  it('refuses archives that are cut short or damaged', () => {
    const archive = tarOf([file('a', 'x'.repeat(1000))]);
    expect(() => rewrite(archive.subarray(0, 900))).toThrow('ends in the middle');
    expect(() => rewrite(archive.subarray(0, 300))).toThrow('ends in the middle');
    const damagedArchive = Buffer.from(archive);
    damagedArchive[3] = 0x41;
    expect(() => rewrite(damagedArchive)).toThrow('checksum');
  });

  const component = fc
    .stringMatching(/^[a-zä\n -]{1,60}$/)
    .filter((text) => !text.startsWith('.wh.'));
  const path = fc.array(component, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));

  it('gives the same whatever the pieces it was fed in, and keeps names and data', () => {
    const entry = fc.record({ name: path, data: fc.string({ maxLength: 1500 }) });
    const cuts = fc.array(fc.nat(20_000), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), cuts, (entries, cuts) => {
        const archive = tarOf(
          entries.map(({ name, data }) => ({ name, data, pax: { path: name } })),
        );
        const whole = rewrite(archive);
        expect(
          rewrite(
            archive,
            cuts.filter((cut) => cut < archive.length),
          ),
        ).toEqual(whole);
        expect(entriesOf(whole).map(({ name, data }) => [name, data])).toEqual(
          entries.map(({ name, data }) => [name, Buffer.from(data).toString('latin1')]),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('never lets a name out, whatever the bytes', () => {
    const hostile = fc.array(
      fc.constantFrom('..', '.', 'a', '', '.wh.', '.wh.x', '.wh..wh..opq', '\n'),
      { minLength: 1, maxLength: 6 },
    );
    const type = fc.constantFrom('0', '1', '2', '3', '5', '6');
    fc.assert(
      fc.property(fc.array(fc.tuple(hostile, hostile, type), { maxLength: 6 }), (entries) => {
        const archive = tarOf(
          entries.map(([name, link, type]) => ({
            name: name.join('/') || 'x',
            link: link.join('/'),
            type,
            major: 1,
          })),
        );
        const climbs = (path: string): boolean =>
          path.startsWith('/') || path.split('/').includes('..');
        const escaped = entriesOrNone(archive).filter(
          ({ name, type, link }) => climbs(name) || (type === '1' && climbs(link)),
        );
        expect(escaped).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
