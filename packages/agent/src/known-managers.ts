/**
 * The managers that a node was told of: where it connects to, and whom it serves. A certificate
 * outlives a removal or a demotion, the list does not.
 */
import { guarded, type Call, type ManagerAddress } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';

export class KnownManagers {
  #told: readonly ManagerAddress[];
  #addresses: readonly string[];

  /**
   * @param given host:port of managers that the machine was started with.
   * @param told what it was told in an earlier life.
   */
  constructor(given: readonly string[], told: readonly ManagerAddress[]) {
    this.#told = told;
    this.#addresses = [...new Set([...given, ...addressesOf(told)])];
  }

  /** host:port of each one's cluster API. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Replaces whatever was known before. */
  learn(managers: readonly ManagerAddress[]): void {
    this.#told = managers;
    this.#addresses = addressesOf(managers);
  }

  /** The same service, for the managers of the list only. */
  only<Service extends object>(service: Service): Service {
    return guarded(service, (call) => this.#refuseOthers(call));
  }

  /** @throws SwarmError `unavailable`: who was left out may also be too new to be in the list. */
  #refuseOthers({ peer }: Call): void {
    if (this.#told.some(({ nodeId }) => nodeId === peer?.nodeId)) return;
    throw new SwarmError(
      'unavailable',
      `this node was not told that ${peer?.nodeId ?? 'the caller'} is a manager of the cluster: it was removed ` +
        'or demoted, or became one so lately that the node has not heard of it; ask another manager',
    );
  }
}

function addressesOf(managers: readonly ManagerAddress[]): readonly string[] {
  return managers.map(({ address }) => address);
}
