/** swarmctl task cp: files between this machine and a task's container, as tar archives underway. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { basename, dirname, posix, resolve } from 'node:path';

import type { CopyInRequest } from '@swarmd/api';
import { errorCode, SwarmError } from '@swarmd/base';
import type { PathInfo, TaskId } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { findTask } from './find-task.ts';

interface CopyFlags {
  archive: boolean;
}

export function addCopyCommand(group: Command, context: Context): void {
  group
    .command('cp')
    .description('copy files between this machine and a task; "-" is a tar archive')
    .argument('<source>', 'path, or task:/path')
    .argument('<destination>', 'path, or task:/path')
    .option('-a, --archive', 'keep owner and group', false)
    .action(async (source: string, destination: string, flags: CopyFlags) => {
      const [from, to] = [parsePlace(source), parsePlace(destination)];
      if (from.task !== undefined && to.task === undefined) {
        const task = await findTask(context, from.task);
        await copyOut(context, { taskId: task.id, path: from.path, to: to.path, flags });
      } else if (from.task === undefined && to.task !== undefined) {
        const task = await findTask(context, to.task);
        await copyIn(context, { taskId: task.id, path: to.path, from: from.path, flags });
      } else {
        throw new SwarmError(
          'invalid-argument',
          'one of the two must be in a task, written TASK:/PATH, and the other on this machine',
        );
      }
    });
}

/** "web.1:/etc/hosts"; a path of this machine that has a colon is written ./a:b. */
function parsePlace(text: string): { readonly task?: string; readonly path: string } {
  const match = /^([^/.:-][^/:]*):(.*)$/.exec(text);
  if (match === null) return { path: text };
  return { task: match[1] ?? '', path: posix.resolve('/', match[2] ?? '') + trailing(match[2]) };
}

/** "folder/" and "folder/." mean what is in it. */
function trailing(path = ''): string {
  return /[^/]\/\.?$/.test(path) ? '/.' : '';
}

async function copyOut(
  context: Context,
  request: { taskId: TaskId; path: string; to: string; flags: CopyFlags },
): Promise<void> {
  const { taskId, path, to, flags } = request;
  const { engine } = await context.cluster();
  const parts = engine.copyOut({ taskId, path }, { signal: context.call.signal });
  if (to === '-') {
    for await (const part of parts) await context.terminal.console.write('stdout', part);
    return;
  }
  const isFolder = await stat(to).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const rename = isFolder ? [] : renaming(posix.basename(path), basename(resolve(to)));
  const owner = flags.archive ? [] : ['--no-same-owner'];
  const args = ['--extract', '--file=-', '-C', isFolder ? to : dirname(resolve(to))];
  const child = spawn('tar', [...args, ...owner, ...rename], {
    stdio: ['pipe', 'inherit', 'pipe'],
  });
  const ended = outcome(child, 'unpack');
  child.stdin.on('error', () => undefined);
  try {
    for await (const part of parts) {
      if (!child.stdin.write(part)) await Promise.race([once(child.stdin, 'drain'), ended]);
    }
  } catch (error) {
    ended.catch(() => undefined);
    child.kill();
    throw error;
  }
  child.stdin.end();
  await ended;
}

async function copyIn(
  context: Context,
  request: { taskId: TaskId; path: string; from: string; flags: CopyFlags },
): Promise<void> {
  const { taskId, path, from, flags } = request;
  const found = await infoOf(context, taskId, `${path}/.`);
  if (from === '-') {
    await send(context, { taskId, directory: path }, context.terminal.console.input());
    return;
  }
  await stat(from).catch((cause: unknown) => {
    throw new SwarmError('not-found', `there is no ${from} on this machine`, { cause });
  });
  const isFolder = found?.kind === 'directory';
  const isContent = from.endsWith('/.');
  const directory = isFolder ? path : posix.dirname(path);
  const [folder, name] = isContent
    ? [resolve(from), '.']
    : [dirname(resolve(from)), `./${basename(resolve(from))}`];
  const rename =
    isFolder || isContent ? [] : renaming(basename(resolve(from)), posix.basename(path));
  const owner = flags.archive ? ['--numeric-owner'] : ['--owner=0', '--group=0'];
  const args = ['--create', '--file=-', '--format=posix', '-C', folder, ...owner, ...rename];
  const child = spawn('tar', [...args, '--', name], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = outcome(child, 'read');
  try {
    await send(context, { taskId, directory }, child.stdout);
  } catch (error) {
    ended.catch(() => undefined);
    child.kill();
    throw error;
  }
  await ended;
}

async function send(
  context: Context,
  where: { taskId: TaskId; directory: string },
  archive: AsyncIterable<unknown>,
): Promise<void> {
  const { engine } = await context.cluster();
  const messages = (async function* (): AsyncGenerator<CopyInRequest> {
    yield { kind: 'start', ...where };
    for await (const data of archive) yield { kind: 'data', data: data as Uint8Array };
  })();
  await Array.fromAsync(engine.copyIn(messages, { signal: context.call.signal }));
}

async function infoOf(
  context: Context,
  taskId: TaskId,
  path: string,
): Promise<PathInfo | undefined> {
  const { engine } = await context.cluster();
  try {
    return await engine.pathInfo({ taskId, path }, context.call);
  } catch (error) {
    if (errorCode(error) === 'not-found') return undefined;
    throw error;
  }
}

/** tar's sed expression for the first component of names; nothing in names can end it early. */
function renaming(from: string, to: string): string[] {
  const pattern = from.replaceAll(/[.[\]*^$\\|]/g, String.raw`\$&`);
  const replacement = to.replaceAll(/[&\\|]/g, String.raw`\$&`);
  return [String.raw`--transform=flags=rSH;s|^\(\./\)\{0,1\}${pattern}|\1${replacement}|`];
}

async function outcome(child: ReturnType<typeof spawn>, verb: 'unpack' | 'read'): Promise<void> {
  let said = '';
  child.stderr?.on('data', (data: Buffer) => (said += data.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0)
    throw new SwarmError('failed-precondition', `cannot ${verb} files: ${said.trim()}`);
}
