/** The in-memory twin of named volumes. */
import { SwarmError } from '@swarmd/base';

import type { VolumeInfo, VolumeRequest, Volumes } from '../types.ts';
import type { MemoryMachine } from './memory-machine.ts';

export class MemoryVolumes implements Volumes {
  readonly #machine: MemoryMachine;

  constructor(machine: MemoryMachine) {
    this.#machine = machine;
  }

  async create(request: VolumeRequest): Promise<VolumeInfo> {
    const { volumes, options } = this.#machine;
    const driver = request.driver || 'local';
    const known = volumes.get(request.name);
    if (known !== undefined && known.driver !== driver) {
      throw new SwarmError('already-exists', `volume ${request.name} is of another driver`);
    }
    const made = { ...request, driver, createdAt: options.clock.now(), mountpoint: '' };
    volumes.set(request.name, known ?? made);
    return this.#info(known ?? made);
  }

  async list(): Promise<readonly VolumeInfo[]> {
    const found = [...this.#machine.volumes.values()].map((volume) => this.#info(volume));
    return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async remove(name: string): Promise<void> {
    const volume = this.#machine.volumes.get(name);
    if (volume === undefined) throw new SwarmError('not-found', `there is no volume ${name}`);
    if (this.#info(volume).used) {
      throw new SwarmError('failed-precondition', `volume ${name} is in use by a container`);
    }
    this.#machine.volumes.delete(name);
  }

  #info(volume: Omit<VolumeInfo, 'used'>): VolumeInfo {
    const mounts = [...this.#machine.containers.values()].flatMap(
      ({ request }) => request.spec.mounts,
    );
    const used = mounts.some(({ kind, source }) => kind === 'volume' && source === volume.name);
    return { ...volume, used };
  }
}
