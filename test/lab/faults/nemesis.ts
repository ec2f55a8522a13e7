/** What is done to the managers: one fault after the other, chosen by chance from a seed. */
import type { Random } from '@swarmd/base';
import { between, lossy, oneWay, type Lab, type LinkFault } from '@swarmd/lab';

export interface Fault {
  /** Words for the report, e.g. "hang m2". */
  readonly what: string;
  begin(lab: Lab): Promise<void>;
  /** Hosts that must be healed afterwards; links are mended anyway. */
  readonly hosts: readonly string[];
}

type Maker = (names: readonly string[], dice: Dice) => Fault;

export class Dice {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** The same items in an order of chance. */
  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, at: this.#random.next() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }
}

/** As many as may fail while a majority goes on. */
function minority(names: readonly string[], dice: Dice): string[] {
  const most = Math.floor((names.length - 1) / 2);
  return dice.shuffled(names).slice(0, 1 + dice.below(most));
}

function toHosts(
  word: string,
  act: (lab: Lab, name: string) => Promise<void>,
  choose: (names: readonly string[], dice: Dice) => readonly string[] = minority,
): Maker {
  return (names, dice) => {
    const hosts = choose(names, dice);
    return {
      what: `${word} ${hosts.join(',')}`,
      hosts,
      begin: async (lab) => void (await Promise.all(hosts.map((name) => act(lab, name)))),
    };
  };
}

function links(
  word: string,
  faults: (names: readonly string[], dice: Dice) => readonly LinkFault[],
): Maker {
  return (names, dice) => {
    const broken = faults(names, dice);
    const pairs = broken.map(({ from, to }) => `${from}>${to}`).join(' ');
    return { what: `${word} ${pairs}`, hosts: [], begin: (lab) => lab.breakLinks(broken) };
  };
}

const all = (names: readonly string[]): readonly string[] => names;
const one = (names: readonly string[], dice: Dice): readonly string[] => [dice.pick(names)];

/** Every manager sees its neighbours on a ring, which are a majority; no two see the same one. */
function ring(names: readonly string[], dice: Dice): LinkFault[] {
  const order = dice.shuffled(names);
  const reach = Math.floor(order.length / 4);
  const far = (i: number, j: number): boolean => {
    const distance = Math.abs(i - j);
    return Math.min(distance, order.length - distance) > Math.max(1, reach);
  };
  return order.flatMap((from, i) =>
    order.filter((_, j) => far(i, j)).map((to) => ({ from, to, lossPercent: 100 })),
  );
}

/** One pair cannot talk, everybody else can: with three managers, what a ring cannot show. */
function pair(names: readonly string[], dice: Dice): LinkFault[] {
  const [a = '', b = ''] = dice.shuffled(names);
  return between([[a], [b]]);
}

function halves(names: readonly string[], dice: Dice): LinkFault[] {
  const few = minority(names, dice);
  return between([few, names.filter((name) => !few.includes(name))]);
}

function deaf(names: readonly string[], dice: Dice): LinkFault[] {
  const few = minority(names, dice);
  const others = names.filter((name) => !few.includes(name));
  return dice.below(2) === 0 ? oneWay(few, others) : oneWay(others, few);
}

export const FAULTS: Readonly<Record<string, Maker>> = {
  crash: toHosts('crash', (lab, name) => lab.crash(name)),
  power: toHosts('power', (lab, name) => lab.kill(name)),
  stop: toHosts('stop', (lab, name) => lab.stop(name)),
  partition: links('partition', halves),
  'one-way': links('one-way', deaf),
  ring: links('ring', (names, dice) => (names.length < 4 ? pair : ring)(names, dice)),
  loss: links('loss', (names, dice) => lossy([dice.pick(names)], 30)),
  fill: toHosts('fill', (lab, name) => lab.spoilDisk(name, 'fill'), one),
  hang: toHosts('hang', (lab, name) => lab.spoilDisk(name, 'hang'), one),
  slow: toHosts('slow', (lab, name) => lab.spoilDisk(name, 'slow'), one),
  'all-crash': toHosts('crash', (lab, name) => lab.crash(name), all),
  'all-power': toHosts('power', (lab, name) => lab.kill(name), all),
};
