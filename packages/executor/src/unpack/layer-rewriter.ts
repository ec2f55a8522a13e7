/**
 * Turns the tar stream of an image layer into one that GNU tar may unpack as an overlayfs directory:
 * whiteouts become character devices 0:0, opaque markers become an extended attribute of their
 * directory. Every header is written anew from what was understood of it, so nothing that was not
 * checked here can reach tar: names that leave the directory, attributes that steer overlayfs, forged
 * whiteouts, entry types that no layer needs. Synchronous; bytes in, bytes out.
 *
 * Sources: OCI image specification, layer.md (whiteouts); kernel Documentation/filesystems/overlayfs.
 * What tar itself must keep safe: links that point outside are made last (GNU tar's delayed links).
 */
import { SwarmError, unreachable } from '@swarmd/base';

import { LAYER_ENTRIES_MAX, TAR_META_MAX_BYTES } from '../limits.ts';
import {
  BLOCK_BYTES,
  damaged,
  encodeEntry,
  padding,
  parsePax,
  readLink,
  readName,
  readNumber,
  typeOf,
  verifyChecksum,
  type PaxRecords,
  type TarEntry,
} from './tar-header.ts';

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const XATTR = 'SCHILY.xattr.';
const OPAQUE_XATTR = `${XATTR}trusted.overlay.opaque`;
/** Regular, hard link, symlink, two kinds of device, directory, fifo, contiguous, GNU sparse. */
const KNOWN_TYPES = '01234567S';
/** An old GNU sparse header says here whether more of its map follows, as does each such block. */
const SPARSE_MORE_OFFSET = 482;
const SPARSE_BLOCK_MORE_OFFSET = 504;

type State =
  | { readonly kind: 'header' }
  | { readonly kind: 'meta'; readonly type: string; readonly size: number }
  | { readonly kind: 'sparse-map' }
  | { readonly kind: 'data'; readonly keep: boolean }
  | { readonly kind: 'end' };

export class LayerRewriter {
  /** Input that is not used up yet: at most one chunk and one block or extended header. */
  #input: Buffer = Buffer.alloc(0);
  #output: Buffer[] = [];
  #state: State = { kind: 'header' };
  /** Of the current entry, with its padding. */
  #dataLeft = 0;
  #padding = 0;
  #entries = 0;
  #pax: PaxRecords = new Map();
  #longName: string | undefined;
  #longLink: string | undefined;
  /** What the layer said of its directories, for markers that come later. */
  readonly #directories = new Map<string, { entry: TarEntry; records: PaxRecords }>();
  readonly #opaqueDirectories = new Set<string>();

  /**
   * @returns what to give to tar now.
   * @throws SwarmError `data-loss` (malformed) or `permission-denied` (unsafe).
   */
  push(chunk: Buffer): Buffer[] {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    while (this.#step());
    return this.#take();
  }

  /**
   * Some tools (umoci 0.4) leave out the last entry's padding and the end marks; that harms nobody.
   * @throws SwarmError `data-loss` when the archive ends within an entry.
   */
  end(): Buffer[] {
    const state = this.#state;
    const isWhole =
      state.kind === 'end' ||
      (state.kind === 'header' && this.#input.length === 0) ||
      (state.kind === 'data' && this.#dataLeft <= this.#padding);
    if (!isWhole) throw damaged('it ends in the middle of an entry');
    if (state.kind === 'data' && state.keep) this.#emit(Buffer.alloc(this.#dataLeft));
    this.#emit(Buffer.alloc(2 * BLOCK_BYTES));
    return this.#take();
  }

  /** One step with what is there; false when more input is needed. */
  #step(): boolean {
    const state = this.#state;
    switch (state.kind) {
      case 'end':
        this.#input = Buffer.alloc(0);
        return false;
      case 'data':
        return this.#copy(state.keep);
      case 'meta': {
        const data = this.#consume(state.size + padding(state.size));
        if (data === undefined) return false;
        this.#remember(state.type, data.subarray(0, state.size));
        this.#state = { kind: 'header' };
        return true;
      }
      case 'sparse-map': {
        const block = this.#consume(BLOCK_BYTES);
        if (block === undefined) return false;
        this.#emit(block);
        if (block[SPARSE_BLOCK_MORE_OFFSET] === 0) this.#state = { kind: 'data', keep: true };
        return true;
      }
      case 'header': {
        const header = this.#consume(BLOCK_BYTES);
        if (header === undefined) return false;
        this.#header(header);
        return true;
      }
      default:
        return unreachable(state);
    }
  }

  #copy(keep: boolean): boolean {
    if (this.#dataLeft === 0) {
      this.#state = { kind: 'header' };
      return true;
    }
    const piece = this.#consume(Math.min(this.#dataLeft, this.#input.length));
    if (piece === undefined || piece.length === 0) return false;
    this.#dataLeft -= piece.length;
    if (keep) this.#emit(piece);
    return true;
  }

  #header(header: Buffer): void {
    if (header.every((byte) => byte === 0)) {
      this.#state = { kind: 'end' };
      return;
    }
    verifyChecksum(header);
    const type = typeOf(header);
    const size = readNumber(header, 'size');
    if ('xgLK'.includes(type)) {
      if (size > TAR_META_MAX_BYTES) throw damaged(`an extended header has ${size} bytes`);
      this.#state = { kind: 'meta', type, size };
      return;
    }
    this.#entries += 1;
    if (this.#entries > LAYER_ENTRIES_MAX)
      throw unsafe(`it has more than ${LAYER_ENTRIES_MAX} entries`);
    const records = this.#pax;
    const entry = this.#read(header, type);
    this.#pax = new Map();
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#entry(entry, records, header);
  }

  /** Global pax headers ("g") hold remarks of archivers; they must not change entries, so they are dropped. */
  #remember(type: string, data: Buffer): void {
    if (type === 'x') this.#pax = new Map([...this.#pax, ...parsePax(data)]);
    else if (type === 'L') this.#longName = untilNul(data);
    else if (type === 'K') this.#longLink = untilNul(data);
  }

  #read(header: Buffer, type: string): TarEntry {
    const pax = (key: string): string | undefined => this.#pax.get(key)?.toString('utf8');
    const number = (key: 'uid' | 'gid' | 'size'): number => {
      const value = Number(pax(key) ?? readNumber(header, key));
      if (!Number.isSafeInteger(value) || value < 0) throw damaged(`its ${key} is not a number`);
      return value;
    };
    const mtime = pax('mtime') ?? String(readNumber(header, 'mtime'));
    if (!/^-?\d{1,15}(\.\d{1,12})?$/.test(mtime)) throw damaged('its mtime is not a number');
    return {
      type,
      name: pax('GNU.sparse.name') ?? pax('path') ?? this.#longName ?? readName(header),
      link: pax('linkpath') ?? this.#longLink ?? readLink(header),
      mode: readNumber(header, 'mode') & 0o7777,
      uid: number('uid'),
      gid: number('gid'),
      size: number('size'),
      mtime,
      major: '34'.includes(type) ? readNumber(header, 'major') : 0,
      minor: '34'.includes(type) ? readNumber(header, 'minor') : 0,
    };
  }

  #entry(raw: TarEntry, records: PaxRecords, header: Buffer): void {
    if (!KNOWN_TYPES.includes(raw.type))
      throw damaged(`"${raw.name}" has the unknown type "${raw.type}"`);
    const hasData = '07S'.includes(raw.type);
    this.#padding = hasData ? padding(raw.size) : 0;
    this.#dataLeft = hasData ? raw.size + this.#padding : 0;
    this.#state = { kind: 'data', keep: false };
    const name = safeName(raw.name);
    const slash = name.lastIndexOf('/');
    const base = name.slice(slash + 1);
    const directory = name.slice(0, Math.max(0, slash));
    if (base === OPAQUE) this.#opaque(directory);
    else if (base.startsWith(WHITEOUT)) this.#whiteout(directory, base, raw.name);
    else if (raw.type === '3' && raw.major === 0 && raw.minor === 0)
      return; // a forged whiteout
    else this.#keep({ ...raw, name, size: hasData ? raw.size : 0 }, allowed(records), header);
  }

  #keep(entry: TarEntry, records: PaxRecords, header: Buffer): void {
    this.#state = { kind: 'data', keep: true };
    if (entry.type === 'S') {
      // The map of holes is in the raw header; pax names it, so that the GNU fields can stay.
      this.#emit(encodeEntry({ ...entry, link: '' }, records, header));
      if (header[SPARSE_MORE_OFFSET] !== 0) this.#state = { kind: 'sparse-map' };
      return;
    }
    if (entry.type === '5') {
      const written = { ...entry, name: `${entry.name || '.'}/`, link: '' };
      this.#directories.set(entry.name, { entry: written, records });
      this.#emit(encodeEntry(written, records));
      return;
    }
    if (entry.name === '') throw unsafe(`an entry of type "${entry.type}" names the root itself`);
    if (records.has('GNU.sparse.name')) records.set('GNU.sparse.name', Buffer.from(entry.name));
    const isLink = entry.type === '1' || entry.type === '2';
    const link = entry.type === '1' ? safeName(entry.link) : isLink ? noNul(entry.link) : '';
    this.#emit(
      encodeEntry({ ...entry, type: entry.type === '7' ? '0' : entry.type, link }, records),
    );
  }

  /** Directories that show nothing of the layers below. */
  get opaque(): readonly string[] {
    return [...this.#opaqueDirectories];
  }

  #opaque(directory: string): void {
    this.#opaqueDirectories.add(directory);
    const known = this.#directories.get(directory);
    const entry = known?.entry ?? {
      ...PLAIN,
      type: '5',
      name: `${directory || '.'}/`,
      mode: 0o755,
    };
    const records = new Map(known?.records);
    records.set(OPAQUE_XATTR, Buffer.from('y'));
    this.#emit(encodeEntry(entry, records));
  }

  #whiteout(directory: string, base: string, raw: string): void {
    const target = base.slice(WHITEOUT.length);
    if (target.startsWith(WHITEOUT)) return; // AUFS' own bookkeeping
    if (target === '' || target === '.' || target === '..') throw unsafe(`"${raw}" is no whiteout`);
    const name = directory === '' ? target : `${directory}/${target}`;
    this.#emit(encodeEntry({ ...PLAIN, type: '3', name }, new Map()));
  }

  #consume(bytes: number): Buffer | undefined {
    if (this.#input.length < bytes) return undefined;
    const taken = this.#input.subarray(0, bytes);
    this.#input = this.#input.subarray(bytes);
    return taken;
  }

  #emit(data: Buffer): void {
    this.#output.push(data);
  }

  #take(): Buffer[] {
    const output = this.#output;
    this.#output = [];
    return output;
  }
}

const PLAIN: TarEntry = {
  type: '0',
  name: '',
  link: '',
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: '0',
  major: 0,
  minor: 0,
};

/** Relative, without "." and empty components. @throws SwarmError `permission-denied` for "..". */
function safeName(name: string): string {
  const components = noNul(name)
    .split('/')
    .filter((component) => component !== '' && component !== '.');
  if (components.includes('..'))
    throw unsafe(`the name ${JSON.stringify(name)} leaves the directory`);
  return components.join('/');
}

function noNul(text: string): string {
  if (text.includes('\0')) throw unsafe(`the name ${JSON.stringify(text)} contains a NUL`);
  return text;
}

/** Extended attributes that describe the file itself, and pax sparse maps; all else is ours to write. */
function allowed(records: PaxRecords): PaxRecords {
  const keep = (key: string): boolean =>
    key.startsWith(`${XATTR}user.`) ||
    key === `${XATTR}security.capability` ||
    key.startsWith('GNU.sparse.');
  return new Map([...records].filter(([key]) => keep(key)));
}

function untilNul(data: Buffer): string {
  const end = data.indexOf(0);
  return data.toString('utf8', 0, end < 0 ? data.length : end);
}

function unsafe(why: string): SwarmError {
  return new SwarmError('permission-denied', `the layer is refused: ${why}`);
}
