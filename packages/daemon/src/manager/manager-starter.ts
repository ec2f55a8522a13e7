/** Starts the manager process of an identity, with what that identity and this machine's settings say. */
import type { Settings } from '../config/settings.ts';
import type { Identity } from '../identity/identity.ts';
import { RAFT_PORT_OFFSET } from '../limits.ts';
import { parseAddress } from '../swarm/addresses.ts';
import { ManagerProcess, type ManagerProcessDeps } from './manager-process.ts';
import type { ManagerStart } from './protocol.ts';

/** How the manager comes into Raft. */
export type ManagerBeginning = Pick<ManagerStart, 'raftStart' | 'bootstrap' | 'forceNewCluster'>;

export class ManagerStarter {
  readonly #settings: Settings;
  readonly #deps: ManagerProcessDeps;

  constructor(settings: Settings, deps: ManagerProcessDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  /** As `ManagerProcess.start`: resolves once it serves, and leaves no process when it does not. */
  start(
    identity: Identity,
    beginning: ManagerBeginning,
    signal: AbortSignal,
  ): Promise<ManagerProcess> {
    return ManagerProcess.start(this.#startOf(identity, beginning), this.#deps, signal);
  }

  /** As `ManagerProcess.resume`: in the background, and again until it runs. */
  resume(identity: Identity, beginning: ManagerBeginning): ManagerProcess {
    return ManagerProcess.resume(this.#startOf(identity, beginning), this.#deps);
  }

  #startOf({ membership, credentials }: Identity, beginning: ManagerBeginning): ManagerStart {
    const { stateDir, runDir, logLevel, raftProfile } = this.#settings;
    const listen = parseAddress(membership.listen);
    const advertise = parseAddress(membership.advertise);
    return {
      stateDir,
      runDir,
      logLevel,
      raftProfile,
      nodeId: membership.nodeId,
      clusterId: membership.clusterId,
      credentials,
      raftId: membership.raftId ?? 0,
      apiListen: listen,
      apiAdvertise: `${advertise.host}:${advertise.port}`,
      raftListen: { host: listen.host, port: listen.port + RAFT_PORT_OFFSET },
      raftAdvertise: `${advertise.host}:${advertise.port + RAFT_PORT_OFFSET}`,
      ...beginning,
    };
  }
}
