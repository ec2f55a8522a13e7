/** `createXClient(channel)` for each service: the contract, over the wire. */
import type { Call } from '../contract/call.ts';
import type { Control } from '../contract/control.ts';
import type { Engine } from '../contract/engine.ts';
import type { Ca, Leader, Local, Membership, Watch } from '../contract/manager-side.ts';
import type { AgentService, Dispatcher, Logs } from '../contract/node-side.ts';
import { bind, type BoundMethod, type Service } from '../service/definition.ts';
import {
  agentService,
  caService,
  controlService,
  dispatcherService,
  engineService,
  leaderService,
  localService,
  logsService,
  membershipService,
  watchService,
} from '../service/services.ts';
import type { Channel } from './channel.ts';
import { callBidi, callServerStream, callUnary } from './invoke.ts';

/** The channel stays the caller's, who disposes it. */
type CreateClient<Contract> = (channel: Channel) => Contract;

function client<Contract>(service: Service<Contract>): CreateClient<Contract> {
  return (channel) =>
    Object.fromEntries(
      bind(service).map((method) => [method.name, invoker(channel, method)]),
    ) as Contract;
}

function invoker(
  channel: Channel,
  method: BoundMethod,
): (request: unknown, call: Call) => Promise<unknown> | AsyncIterable<unknown> {
  if (method.requestStream) {
    return (messages, call) =>
      callBidi(channel, method, { messages: messages as AsyncIterable<unknown>, call });
  }
  return method.responseStream
    ? (request, call) => callServerStream(channel, method, { request, call })
    : (request, call) => callUnary(channel, method, { request, call });
}

export const createControlClient: CreateClient<Control> = client(controlService);
export const createWatchClient: CreateClient<Watch> = client(watchService);
export const createLogsClient: CreateClient<Logs> = client(logsService);
export const createMembershipClient: CreateClient<Membership> = client(membershipService);
export const createLeaderClient: CreateClient<Leader> = client(leaderService);
export const createCaClient: CreateClient<Ca> = client(caService);
export const createDispatcherClient: CreateClient<Dispatcher> = client(dispatcherService);
export const createAgentClient: CreateClient<AgentService> = client(agentService);
export const createEngineClient: CreateClient<Engine> = client(engineService);
export const createLocalClient: CreateClient<Local> = client(localService);
