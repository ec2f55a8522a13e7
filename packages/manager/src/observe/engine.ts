/**
 * swarm.v1.Engine for users: each call goes on to the agent of the task's node, stream by stream, held
 * back by whoever is slower. Nothing is kept here.
 */
import type { Call, Engine } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import { rank, type Node, type NodeId, type TaskId } from '@swarmd/model';
import type { ReadView, Store } from '@swarmd/store';

import { notFound } from '../control/validate.ts';
import { PULL_RELAY_MS } from '../limits.ts';

export interface EngineOptions {
  readonly store: Pick<Store, 'view'>;
  /** Client of the agent that listens at host:port. */
  readonly engineAt: (address: string) => Engine;
}

export function createEngine({ store, engineAt }: EngineOptions): Engine {
  const ofTask = (taskId: TaskId): Engine => engineAt(agentOf(nodeOfTask(store.view, taskId)));
  const ofNode = (nodeId: NodeId): Engine => engineAt(agentOf(nodeNamed(store.view, nodeId)));
  return {
    ...nodeMethods(ofNode),
    session: (messages, call) =>
      relay(messages, (first) => {
        if (first.kind !== 'exec' && first.kind !== 'attach') throw notFirst('exec or attach');
        return (all) => ofTask(first.taskId).session(all, passOn(call));
      }),
    copyIn: (messages, call) =>
      relay(messages, (first) => {
        if (first.kind !== 'start') throw notFirst('start');
        return (all) => ofTask(first.taskId).copyIn(all, passOn(call));
      }),
    loadImages: (messages, call) =>
      relay(messages, (first) => {
        if (first.kind !== 'start') throw notFirst('start');
        return (all) =>
          ofNode(first.nodeId).loadImages(all, { ...passOn(call), timeoutMs: PULL_RELAY_MS });
      }),
    top: async (request, call) => ofTask(request.taskId).top(request, passOn(call)),
    stats: (request, call) => ofTask(request.taskId).stats(request, passOn(call)),
    pause: async (request, call) => ofTask(request.taskId).pause(request, passOn(call)),
    unpause: async (request, call) => ofTask(request.taskId).unpause(request, passOn(call)),
    signal: async (request, call) => ofTask(request.taskId).signal(request, passOn(call)),
    inspectContainer: async (request, call) =>
      ofTask(request.taskId).inspectContainer(request, passOn(call)),
    pathInfo: async (request, call) => ofTask(request.taskId).pathInfo(request, passOn(call)),
    copyOut: (request, call) => ofTask(request.taskId).copyOut(request, passOn(call)),
  };
}

type NodeMethod =
  | 'createVolume'
  | 'explainNetwork'
  | 'listVolumes'
  | 'removeVolume'
  | 'listImages'
  | 'pullImage'
  | 'resolveImage'
  | 'checkRegistryAuth'
  | 'inspectImage'
  | 'pushImage'
  | 'saveImages'
  | 'tagImage'
  | 'removeImage'
  | 'pruneImages';

/** What concerns a node and none of its tasks. */
function nodeMethods(ofNode: (id: NodeId) => Engine): Pick<Engine, NodeMethod> {
  // An image of gigabytes takes its time; the user's patience ends it, not a clock of ours.
  const patient = (call: Call): Call => ({ ...passOn(call), timeoutMs: PULL_RELAY_MS });
  return {
    createVolume: async (request, call) =>
      ofNode(request.nodeId).createVolume(request, passOn(call)),
    listVolumes: async (request, call) => ofNode(request.nodeId).listVolumes(request, passOn(call)),
    explainNetwork: async (request, call) =>
      ofNode(request.nodeId).explainNetwork(request, passOn(call)),
    removeVolume: async (request, call) =>
      ofNode(request.nodeId).removeVolume(request, passOn(call)),
    listImages: async (request, call) => ofNode(request.nodeId).listImages(request, passOn(call)),
    pullImage: (request, call) => ofNode(request.nodeId).pullImage(request, patient(call)),
    resolveImage: async (request, call) =>
      ofNode(request.nodeId).resolveImage(request, passOn(call)),
    checkRegistryAuth: async (request, call) =>
      ofNode(request.nodeId).checkRegistryAuth(request, passOn(call)),
    inspectImage: async (request, call) =>
      ofNode(request.nodeId).inspectImage(request, passOn(call)),
    pushImage: (request, call) => ofNode(request.nodeId).pushImage(request, patient(call)),
    saveImages: (request, call) => ofNode(request.nodeId).saveImages(request, patient(call)),
    tagImage: async (request, call) => ofNode(request.nodeId).tagImage(request, passOn(call)),
    removeImage: async (request, call) => ofNode(request.nodeId).removeImage(request, passOn(call)),
    pruneImages: async (request, call) =>
      ofNode(request.nodeId).pruneImages(request, patient(call)),
  };
}

function nodeNamed(view: ReadView, nodeId: NodeId): Node {
  const node = view.get('node', nodeId);
  if (node === undefined) throw notFound('node', nodeId);
  return node;
}

/** The agent asks who we are, not in whose name. */
function passOn(call: Call): Call {
  return { signal: call.signal };
}

/** Reads the first message to find the way, and passes on all of them. */
async function* relay<Message, Answer>(
  messages: AsyncIterable<Message>,
  route: (first: Message) => (all: AsyncIterable<Message>) => AsyncIterable<Answer>,
): AsyncGenerator<Answer> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) throw notFirst('something');
  const target = route(first.value);
  yield* target(
    (async function* () {
      yield first.value;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        yield next.value;
      }
    })(),
  );
}

function notFirst(wanted: string): SwarmError {
  return new SwarmError('invalid-argument', `the first message of this call must be: ${wanted}`);
}

function nodeOfTask(view: ReadView, taskId: TaskId): Node {
  const task = view.get('task', taskId);
  if (task === undefined) throw notFound('task', taskId);
  const node = task.nodeId === undefined ? undefined : view.get('node', task.nodeId);
  const { state, error } = task.status;
  if (node === undefined || rank(state) < rank('starting')) {
    throw new SwarmError(
      'failed-precondition',
      `task ${taskId} has no container yet: it is ${state}${error === '' ? '' : ` (${error})`}`,
    );
  }
  if (state === 'orphaned') {
    throw new SwarmError('failed-precondition', `task ${taskId} was lost with its node`);
  }
  return node;
}

/** host:port. @throws SwarmError `unavailable` when the node cannot be reached now. */
function agentOf(node: Node): string {
  const { state, agentAddress } = node.status;
  if (state !== 'down' && agentAddress !== '') return agentAddress;
  const name = node.description?.hostname ?? node.id;
  throw new SwarmError('unavailable', `node ${name} is ${state}; it cannot be asked now`);
}
