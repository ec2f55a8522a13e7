/**
 * The names of one network. What a service's tasks are called is worked out when somebody asks for one
 * of them, and kept for as long as they are the same tasks: networks have thousands, and a change is
 * one of them.
 */
import type { NetworkId, ServiceVip } from '@swarmd/model';

import { tasksBehind, type ServiceTasks, type StateIndex } from '../desired/state-index.ts';

type Addresses = readonly string[];

/** Names in lower case. */
interface TaskNames {
  /** `tasks.SERVICE`, `SLOT.SERVICE` and `SERVICE.SLOT.TASK`; an empty list is a name without serving tasks. */
  readonly addresses: ReadonlyMap<string, Addresses>;
  /** Address -> name. */
  readonly names: ReadonlyMap<string, string>;
}

const knownTasks = new WeakMap<ServiceTasks, TaskNames>();

export class NetworkNames {
  readonly #services: readonly ServiceTasks[];
  readonly #vips: readonly ServiceVip[];
  /** Services by their own names. */
  readonly #byService: ReadonlyMap<string, readonly ServiceTasks[]>;
  /** Services' own names and their aliases: whole services behind a name. */
  readonly #whole = new Map<string, Addresses[]>();

  constructor(index: StateIndex, id: NetworkId) {
    this.#vips = index.vips.get(id) ?? [];
    this.#services = [...(index.services.get(id)?.values() ?? [])];
    this.#byService = Map.groupBy(this.#services, ({ endpoints }) =>
      lower(endpoints[0]?.serviceName),
    );
    const balanced = new Set<string>();
    for (const vip of this.#vips) {
      const behind = vip.address === '' ? tasksBehind(index, vip).serving : [vip.address];
      for (const name of [vip.serviceName, ...vip.aliases]) this.#add(name, behind);
      balanced.add(vip.serviceId);
    }
    for (const { endpoints } of this.#services) {
      if (balanced.has(endpoints[0]?.serviceId ?? '')) continue;
      for (const { serviceName, aliases, serving, address } of endpoints) {
        for (const name of [serviceName, ...aliases]) this.#add(name, serving ? [address] : []);
      }
    }
  }

  /** @param name in lower case. @returns undefined when the network has no such name. */
  addresses(name: string): Addresses | undefined {
    const found = [...(this.#whole.get(name) ?? []), ...this.#ofTasks(name)];
    return found.length === 0 ? undefined : [...new Set(found.flat())];
  }

  /** What an address is called. */
  nameOf(address: string): string | undefined {
    for (const tasks of this.#services) {
      const name = namesOf(tasks).names.get(address);
      if (name !== undefined) return name;
    }
    return this.#vips.find((vip) => vip.address !== '' && vip.address === address)?.serviceName;
  }

  #add(name: string, addresses: Addresses): void {
    const known = this.#whole.get(lower(name));
    if (known === undefined) this.#whole.set(lower(name), [addresses]);
    else known.push(addresses);
  }

  /** Services have no dots in their names: which one a task's name is of can be told from it. */
  #ofTasks(name: string): Addresses[] {
    const labels = name.split('.');
    const service = labels.length === 2 ? labels[1] : labels.length === 3 ? labels[0] : undefined;
    return (this.#byService.get(service ?? '') ?? []).flatMap((tasks) => {
      const addresses = namesOf(tasks).addresses.get(name);
      return addresses === undefined ? [] : [addresses];
    });
  }
}

function namesOf(tasks: ServiceTasks): TaskNames {
  const known = knownTasks.get(tasks) ?? makeNames(tasks);
  knownTasks.set(tasks, known);
  return known;
}

function makeNames({ endpoints }: ServiceTasks): TaskNames {
  const addresses = new Map<string, string[]>();
  const names = new Map<string, string>();
  for (const { serviceName, slot, taskId, address, serving } of endpoints) {
    const full = `${serviceName}.${slot}.${taskId}`;
    names.set(address, full);
    for (const name of [`tasks.${serviceName}`, `${slot}.${serviceName}`, full].map(lower)) {
      const list = addresses.get(name) ?? [];
      if (serving) list.push(address);
      addresses.set(name, list);
    }
  }
  return { addresses, names };
}

function lower(name = ''): string {
  return name.toLowerCase();
}
