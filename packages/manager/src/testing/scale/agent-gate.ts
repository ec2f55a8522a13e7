/**
 * Lets simulated agents of another process in: each gets a session of the manager's dispatcher, its
 * messages encoded and decoded as on the cluster port. What is not there is HTTP/2 and TLS.
 */
import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';

import type { AgentMessage } from '@swarmd/api';
import { sessionCodecs } from '@swarmd/api/testing';
import { asId, type ClusterId } from '@swarmd/model';

import type { Core } from '../../core.ts';
import { Inbox } from '../simulation/sim-pipe.ts';
import { FrameWriter, readFrames } from './frames.ts';

const SESSION_OVER = new Uint8Array();

/** Agent 17 is that of node "n17". */
export const nodeOf = (agent: number) => asId('node', `n${agent}`);

interface GateOptions {
  readonly core: Core;
  readonly clusterId: ClusterId;
  /** Path of the socket. */
  readonly path: string;
}

export async function openAgentGate(options: GateOptions): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    admit(socket, options);
  });
  server.listen(options.path);
  await once(server, 'listening');
  return {
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function admit(socket: Socket, { core, clusterId }: GateOptions): void {
  const { fromAgent, fromManager } = sessionCodecs();
  const writer = new FrameWriter(socket);
  const inboxes = new Map<number, Inbox<AgentMessage>>();
  // One for each: thousands of listeners of one signal would each be compared with the others.
  const calls = new Map<number, AbortController>();
  socket.on('close', () => {
    for (const call of calls.values()) call.abort(new Error('the agents are gone'));
  });
  const serve = async (agent: number, inbox: Inbox<AgentMessage>): Promise<void> => {
    const peer = { nodeId: nodeOf(agent), role: 'worker', clusterId } as const;
    const controller = new AbortController();
    calls.set(agent, controller);
    const call = { signal: controller.signal, peer };
    try {
      for await (const message of core.dispatcher.session(inbox, call)) {
        writer.write(agent, fromManager.encode(message));
      }
    } catch {
      // An empty message tells the agent, which comes again.
      writer.write(agent, SESSION_OVER);
    }
    inboxes.delete(agent);
    calls.delete(agent);
  };
  readFrames(socket, (agent, bytes) => {
    const message = fromAgent.decode(bytes);
    let inbox = inboxes.get(agent);
    if (inbox === undefined) {
      // Sent before the agent heard that its session is over.
      if (message.kind !== 'hello') return;
      inbox = new Inbox<AgentMessage>();
      inboxes.set(agent, inbox);
      void serve(agent, inbox);
    }
    inbox.push(message);
  });
}
