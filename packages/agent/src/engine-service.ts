/**
 * swarm.v1.Engine of this node, for managers: what people do with the containers of its tasks. Streams
 * are taken only as fast as they are read; a call that ends takes its program along.
 */
import type { CopyInRequest, Engine, LoadRequest, SessionRequest } from '@swarmd/api';
import { sleep, SwarmError, type Clock } from '@swarmd/base';
import type { TaskId } from '@swarmd/model';

import { STATS_INTERVAL_MIN_MS } from './limits.ts';
import type { Executor, Images, NetworkPlane, SessionInput, SessionStart } from './ports.ts';
import { pullWithProgress } from './pull-stream.ts';
import { registryAuthFrom } from './task/registry-auth.ts';
import type { TaskRunner } from './task/runner.ts';

export interface EngineServiceDeps {
  readonly executor: Pick<Executor, 'workbench' | 'volumes' | 'images' | 'pull'>;
  readonly plane: Pick<NetworkPlane, 'check'>;
  /** Undefined when the task is not assigned to this node. */
  readonly runner: (id: TaskId) => Pick<TaskRunner, 'health'> | undefined;
  readonly clock: Clock;
}

export function engineService({ executor, plane, runner, clock }: EngineServiceDeps): Engine {
  const { workbench, volumes, images } = executor;
  const known = (taskId: TaskId): TaskId => {
    if (runner(taskId) !== undefined) return taskId;
    throw new SwarmError('not-found', `task ${taskId} is not on this node`);
  };
  return {
    async *session(messages, { signal }) {
      const { first, rest } = await begin(messages, 'exec or attach');
      const { taskId, ...start } = sessionStart(first);
      yield* workbench.session(known(taskId), { start, input: sessionInput(rest) }, signal);
    },
    top: async ({ taskId }) => [...(await workbench.top(known(taskId)))],
    async *stats({ taskId, intervalMs }, { signal }) {
      const id = known(taskId);
      yield await workbench.stats(id);
      if (intervalMs === 0) return;
      for (;;) {
        await sleep(clock, Math.max(intervalMs, STATS_INTERVAL_MIN_MS), signal);
        yield await workbench.stats(id);
      }
    },
    pause: async ({ taskId }) => workbench.pause(known(taskId)),
    unpause: async ({ taskId }) => workbench.unpause(known(taskId)),
    signal: async ({ taskId, name }) => workbench.signal(known(taskId), name),
    inspectContainer: async ({ taskId }) => {
      const paused = await workbench.isPaused(known(taskId));
      const health = runner(taskId)?.health;
      return { paused, ...(health === undefined ? {} : { health }) };
    },
    pathInfo: async ({ taskId, path }) => workbench.pathInfo(known(taskId), path),
    async *copyOut({ taskId, path }, { signal }) {
      yield* workbench.copyOut(known(taskId), path, signal);
    },
    createVolume: ({ name, driver, options, labels }) =>
      volumes.create({ name, driver, options, labels }),
    listVolumes: async () => [...(await volumes.list())],
    removeVolume: ({ name }) => volumes.remove(name),
    explainNetwork: async ({ networkId, serviceId }, { signal }) => {
      const scope = {
        ...(networkId === '' ? {} : { networkId }),
        ...(serviceId === '' ? {} : { serviceId }),
      };
      return [...(await plane.check({ repair: false, scope, signal }))];
    },
    listImages: async () => [...(await images.list())],
    pullImage: (request, { signal }) => pullWithProgress(request, { executor, clock }, signal),
    resolveImage: async ({ reference, registryAuth }, { signal }) => ({
      reference: await images.resolve(reference, signal, { auth: registryAuthFrom(registryAuth) }),
    }),
    checkRegistryAuth: async ({ registry, registryAuth }, { signal }) =>
      images.checkAuth(registry, registryAuthFrom(registryAuth) ?? {}, signal),
    ...transfers(images),
    tagImage: ({ reference, target }) => images.tag(reference, target),
    removeImage: async ({ reference }) => ({ freedBytes: await images.remove(reference) }),
    pruneImages: async ({ unusedForMs }) => {
      const { references, freedBytes } = await images.prune(unusedForMs);
      return { references: [...references], freedBytes };
    },
    async *copyIn(messages, { signal }) {
      const { first, rest } = await begin(messages, 'start');
      if (first.kind !== 'start') throw notFirst('start');
      const { taskId, directory } = first;
      await workbench.copyIn(known(taskId), { directory, archive: archiveOf(rest) }, signal);
      yield {};
    },
  };
}

/** Images on their way out and in. */
function transfers(
  images: Images,
): Pick<Engine, 'inspectImage' | 'pushImage' | 'saveImages' | 'loadImages'> {
  return {
    inspectImage: async ({ reference }) => {
      const { names, config, layers, ...image } = await images.details(reference);
      return { image, names: [...names], config, layers: [...layers] };
    },
    async *pushImage({ reference, registryAuth }, { signal }) {
      const options = { auth: registryAuthFrom(registryAuth) };
      for await (const layers of images.push(reference, signal, options)) {
        yield { layers: [...layers] };
      }
    },
    async *saveImages({ references }) {
      yield* images.save(references);
    },
    async *loadImages(messages, { signal }) {
      const { first, rest } = await begin(messages, 'start');
      if (first.kind !== 'start') throw notFirst('start');
      const { importAs, config } = first;
      const archive = archiveOf(rest);
      if (importAs === '') {
        yield { references: [...(await images.load(archive, signal))] };
        return;
      }
      const options = { reference: importAs, config: parseConfig(config) };
      yield { references: [await images.import(archive, options, signal)] };
    },
  };
}

function parseConfig(text: string): object {
  try {
    const config: unknown = JSON.parse(text || '{}');
    if (typeof config === 'object' && config !== null) return config;
  } catch (cause) {
    throw new SwarmError('invalid-argument', 'the configuration is not JSON', { cause });
  }
  throw new SwarmError('invalid-argument', 'the configuration is no JSON object');
}

/** The first message, and the others still to come. */
async function begin<T>(
  messages: AsyncIterable<T>,
  wanted: string,
): Promise<{ first: T; rest: AsyncIterable<T> }> {
  const iterator = messages[Symbol.asyncIterator]();
  const next = await iterator.next();
  if (next.done === true) throw notFirst(wanted);
  return { first: next.value, rest: { [Symbol.asyncIterator]: () => iterator } };
}

function notFirst(wanted: string): SwarmError {
  return new SwarmError('invalid-argument', `the first message of this call must be: ${wanted}`);
}

function sessionStart(message: SessionRequest): SessionStart & { readonly taskId: TaskId } {
  if (message.kind === 'exec' || message.kind === 'attach') return message;
  throw notFirst('exec or attach');
}

async function* sessionInput(
  messages: AsyncIterable<SessionRequest>,
): AsyncGenerator<SessionInput> {
  for await (const message of messages) {
    if (message.kind === 'exec' || message.kind === 'attach') {
      throw new SwarmError('invalid-argument', 'a session begins only once');
    }
    yield message;
  }
}

async function* archiveOf(
  messages: AsyncIterable<CopyInRequest | LoadRequest>,
): AsyncGenerator<Uint8Array> {
  for await (const message of messages) {
    if (message.kind !== 'data') throw new SwarmError('invalid-argument', 'the archive has begun');
    yield message.data;
  }
}
