/**
 * Files out of and into a container, as tar archives. A running container could turn a path into a link
 * to the machine's own files between our look and our step (CVE-2018-15664 in Docker): it is paused
 * while a path is resolved, and while an archive is unpacked, which lies complete on disk by then.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { lstat, open, readlink, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { abortReason, SwarmError } from '@swarmd/base';
import type { PathInfo } from '@swarmd/model';

import { isNotFound } from '../files/atomic-file.ts';
import { resolveInRoot } from '../files/in-root.ts';
import { COPY_IN_MAX_BYTES, STDERR_MAX_CHARS } from '../limits.ts';
import { ProgramOutput } from './streams.ts';

export interface CopySource {
  readonly id: string;
  /** The container's root as this machine sees it, with its mounts where it runs. */
  readonly root: string;
  /** What a program is to be started by, to have the container's ids for its own. */
  readonly enter: readonly string[];
  /** Runs `fn` while nothing in the container moves. */
  readonly whileStill: <T>(fn: () => Promise<T>) => Promise<T>;
}

/** @throws SwarmError `not-found`. */
export function pathInfo(source: CopySource, path: string): Promise<PathInfo> {
  return source.whileStill(async () => {
    const found = await locate(source, path);
    const stats = await lstat(found);
    const kind = stats.isFile()
      ? 'file'
      : stats.isDirectory()
        ? 'directory'
        : stats.isSymbolicLink()
          ? 'link'
          : 'other';
    return {
      kind,
      bytes: stats.size,
      mode: stats.mode & 0o7777,
      modifiedAt: Math.floor(stats.mtimeMs),
      target: kind === 'link' ? await readlink(found) : '',
    };
  });
}

/** The last component is taken as it is, even if it is a link; the ones before are followed. */
async function locate({ id, root }: CopySource, path: string): Promise<string> {
  const isFolder = /(^|\/)\.?\.?$/.test(path);
  const found = isFolder
    ? await resolveInRoot(root, path)
    : join(await resolveInRoot(root, dirname(path)), basename(path));
  try {
    await lstat(found);
    return found;
  } catch (cause) {
    if (!isNotFound(cause)) throw cause;
    throw new SwarmError('not-found', `there is no ${path} in container ${id}`, { cause });
  }
}

const TAR = '/usr/bin/tar';
const CREATE = ['--create', '--file=-', '--numeric-owner', '--xattrs', '--format=posix'];
const EXTRACT = ['--extract', '--file=-', '--numeric-owner', '--xattrs', '--preserve-permissions'];

export async function* copyOut(
  source: CopySource,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  // tar follows no links below its working directory, which is its own from the spawn on.
  const { child, output, said, ended } = await source.whileStill(async () => {
    const found = await locate(source, path);
    const isRoot = found === source.root;
    const cwd = isRoot ? found : dirname(found);
    const name = isRoot ? '.' : `./${basename(found)}`;
    const argv = [...source.enter, TAR, ...CREATE, '--one-file-system', '--', name];
    const [program = TAR, ...args] = argv;
    const started = spawn(program, args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // Asked for at once: it may have ended before the container goes on.
    const ended = new Promise<number | null>((resolve) => {
      started.once('exit', resolve).once('error', () => resolve(null));
    });
    const output = new ProgramOutput({ stdout: started.stdout });
    const said = collect(started.stderr);
    await once(started, 'spawn');
    return { child: started, output, said, ended };
  });
  try {
    for await (const { data } of output.read(NEVER, signal)) yield data;
    const code = await ended;
    // 1: a file changed while it was read, as files of a running program do.
    if (code !== 0 && code !== 1) throw failed('read', path, said());
  } finally {
    child.kill('SIGKILL');
  }
}

const NEVER = new Promise<void>(() => undefined);

/** @param staging a path on this machine for the archive, removed afterwards. */
export async function copyIn(
  source: CopySource,
  request: {
    readonly directory: string;
    readonly archive: AsyncIterable<Uint8Array>;
    readonly staging: string;
  },
  signal: AbortSignal,
): Promise<void> {
  const { directory, archive, staging } = request;
  try {
    await store(archive, staging, signal);
    await source.whileStill(async () => {
      const cwd = await resolveInRoot(source.root, directory);
      const stats = await lstat(cwd).catch(() => undefined);
      if (stats?.isDirectory() !== true) {
        throw new SwarmError('not-found', `${directory} is no directory of container ${source.id}`);
      }
      await extract({ staging, cwd, directory, enter: source.enter }, signal);
    });
  } finally {
    await rm(staging, { force: true });
  }
}

async function store(
  archive: AsyncIterable<Uint8Array>,
  staging: string,
  signal: AbortSignal,
): Promise<void> {
  await using file = await open(staging, 'w', 0o600);
  let bytes = 0;
  for await (const data of archive) {
    if (signal.aborted) throw abortReason(signal);
    bytes += data.length;
    if (bytes > COPY_IN_MAX_BYTES) {
      throw new SwarmError(
        'resource-exhausted',
        `more than ${COPY_IN_MAX_BYTES} bytes at once are too much to copy; use a volume or an image`,
      );
    }
    await file.writeFile(data);
  }
}

async function extract(
  where: {
    readonly staging: string;
    readonly cwd: string;
    readonly directory: string;
    readonly enter: readonly string[];
  },
  signal: AbortSignal,
): Promise<void> {
  const [program = TAR, ...args] = [...where.enter, TAR, ...EXTRACT];
  const child = spawn(program, args, { cwd: where.cwd, stdio: ['pipe', 'ignore', 'pipe'], signal });
  const said = collect(child.stderr);
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  createReadStream(where.staging).pipe(child.stdin);
  const [code] = (await once(child, 'close')) as [number | null];
  if (signal.aborted) throw abortReason(signal);
  if (code !== 0) throw failed('write', where.directory, said());
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.on('data', (data: Buffer) => {
    if (text.length < STDERR_MAX_CHARS) text += data.toString();
  });
  return () => text.trim().slice(0, STDERR_MAX_CHARS);
}

function failed(verb: 'read' | 'write', path: string, said: string): SwarmError {
  return new SwarmError('failed-precondition', `cannot ${verb} ${path} in the container: ${said}`);
}
