/** `serveX(server, implementation)` for each service. */
import type { Control } from '../contract/control.ts';
import type { Engine } from '../contract/engine.ts';
import type { Ca, Leader, Local, Membership, Watch } from '../contract/manager-side.ts';
import type { AgentService, Dispatcher, Logs } from '../contract/node-side.ts';
import type { Service } from '../service/definition.ts';
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
import { GrpcHost, type ApiServer } from './api-server.ts';

/** Adds a service to a server; each service once. */
type Serve<Contract> = (server: ApiServer, implementation: Contract) => void;

function serve<Contract>(service: Service<Contract>): Serve<Contract> {
  return (server, implementation) => hostOf(server).add(service, implementation);
}

/** The server behind the interface: there is only one kind. */
export function hostOf(server: ApiServer): GrpcHost {
  if (!(server instanceof GrpcHost)) throw new TypeError('not a server made by this package');
  return server;
}

export const serveControl: Serve<Control> = serve(controlService);
export const serveWatch: Serve<Watch> = serve(watchService);
export const serveLogs: Serve<Logs> = serve(logsService);
export const serveMembership: Serve<Membership> = serve(membershipService);
export const serveLeader: Serve<Leader> = serve(leaderService);
export const serveCa: Serve<Ca> = serve(caService);
export const serveDispatcher: Serve<Dispatcher> = serve(dispatcherService);
export const serveAgent: Serve<AgentService> = serve(agentService);
export const serveEngine: Serve<Engine> = serve(engineService);
export const serveLocal: Serve<Local> = serve(localService);
