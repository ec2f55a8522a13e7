/**
 * A kernel in which only existence matters: runs our steps and refuses what the real one refuses
 * (adding what is there, deleting what is not, using a device that is missing).
 */
import type { Step } from '../../src/desired/step.ts';

interface Table {
  fixed: string;
  readonly chains: Map<string, string[]>;
  readonly elements: Map<string, Map<string, string>>;
  readonly sets: Map<string, string>;
}

export class FakeKernel {
  /** "netns kind name" -> what it is. */
  readonly #objects = new Map<string, string>();
  readonly #tables = new Map<string, Table>();

  run(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.kind === 'together') this.run(step.steps);
      const netns = 'netns' in step ? (step.netns ?? 'host') : 'host';
      if (step.kind === 'ip') for (const line of step.lines) this.#ip(netns, line, step.family);
      if (step.kind === 'bridge') for (const line of step.lines) this.#bridge(netns, line);
      if (step.kind === 'nft') this.#nft(netns, step.text);
    }
  }

  /** Everything there is, sorted, so that two kernels can be compared. */
  dump(): string[] {
    const tables = [...this.#tables].flatMap(([netns, { fixed, chains, elements, sets }]) => [
      ...[...sets].map(([name, declaration]) => `${netns} set ${name} ${declaration}`),
      `${netns} table ${fixed}`,
      ...[...chains].map(([name, rules]) => `${netns} chain ${name}: ${rules.join('; ')}`),
      ...[...elements].flatMap(([set, members]) =>
        [...members].map(([key, value]) => `${netns} element ${set} ${key} = ${value}`),
      ),
    ]);
    return [...[...this.#objects].map((entry) => entry.join(' => ')), ...tables].toSorted();
  }

  #ip(netns: string, line: string, family: 4 | 6 = 4): void {
    const words = line.split(' ');
    const [object, verb, ...rest] = words;
    if (object === 'xfrm') {
      this.#xfrm(netns, words.slice(1));
      return;
    }
    if (object === 'link') {
      this.#link(netns, verb ?? '', rest);
      return;
    }
    const device = after(words, 'dev');
    const name =
      object === 'rule'
        ? `IPv${family} ${rest.join(' ')}`
        : object === 'route'
          ? `${after(words, 'table') ?? 'main'} ${rest.find((word) => word !== 'unreachable' && word !== 'local')}`
          : `${rest[0]} ${device}`;
    this.#change(`${netns} ${object} ${name}`, verb ?? '', {
      netns,
      device,
      value: rest.join(' '),
    });
  }

  #link(from: string, verb: string, [name = '', ...rest]: string[]): void {
    const netns = verb === 'add' && rest.includes('vxlan') ? (after(rest, 'netns') ?? from) : from;
    const key = `${netns} link ${name}`;
    const attributes = (this.#objects.get(key) ?? '').split(', ').filter((one) => one !== '');
    if (verb === 'add') {
      expectThat(!this.#objects.has(key), `${key} exists`);
      this.#objects.set(key, rest.join(' '));
      return;
    }
    expectThat(this.#objects.has(key), `${key} does not exist`);
    if (verb === 'set') {
      const master = after(rest, 'master');
      expectThat(
        master === undefined || this.#objects.has(`${netns} link ${master}`),
        `no ${master}`,
      );
      this.#objects.set(key, [...new Set([...attributes, rest.join(' ')])].join(', '));
      return;
    }
    this.#objects.delete(key);
    for (const [other, value] of this.#objects) {
      if (other.startsWith(`${netns} `) && ` ${value} `.includes(` dev ${name} `)) {
        this.#objects.delete(other);
      }
    }
  }

  /** A state is known by who receives it and its SPI, a policy by its selector. */
  #xfrm(netns: string, words: readonly string[]): void {
    const [what = '', verb = '', ...rest] = words;
    const [, text = ''] =
      what === 'state'
        ? (/^src \S+ (dst \S+ proto esp spi \S+)/.exec(rest.join(' ')) ?? [])
        : (/^(.* dir \S+)/.exec(rest.join(' ')) ?? []);
    const key = `${netns} xfrm ${what} ${text}`;
    if (verb === 'delete') {
      expectThat(this.#objects.delete(key), `${key} does not exist`);
      return;
    }
    expectThat(verb === 'update' || !this.#objects.has(key), `${key} exists`);
    if (what === 'policy' && rest.includes('spi')) {
      const receiver = rest[3]?.replace('/32', '');
      const state = `${netns} xfrm state dst ${receiver} proto esp spi ${after(rest, 'spi')}`;
      expectThat(this.#objects.has(state), `no ${state}`);
    }
    this.#objects.set(key, rest.join(' '));
  }

  #bridge(netns: string, line: string): void {
    const words = line.split(' ');
    const device = after(words, 'dev');
    const [, verb = '', mac] = words;
    this.#change(`${netns} fdb ${mac} ${device}`, verb, { netns, device, value: words.join(' ') });
  }

  #change(
    key: string,
    verb: string,
    { netns, device, value }: { netns: string; device: string | undefined; value: string },
  ): void {
    const hasDevice = device === undefined || device === 'lo';
    expectThat(hasDevice || this.#objects.has(`${netns} link ${device}`), `no device ${device}`);
    if (verb === 'del') expectThat(this.#objects.delete(key), `${key} does not exist`);
    else {
      expectThat(verb === 'replace' || !this.#objects.has(key), `${key} exists`);
      this.#objects.set(key, value);
    }
  }

  #nft(netns: string, text: string): void {
    const fixed = new Map<string, string>();
    const block = /^table (ip6?) swarmd \{\n([\s\S]*?)^\}$/gm;
    const lines = text.replaceAll(block, (_, family: string, body: string) => {
      fixed.set(family, body);
      return `load ${family} swarmd`;
    });
    for (const line of lines.split('\n')) {
      const family = / (ip6?) swarmd/.exec(line)?.[1] ?? '';
      const bare = line.replace(`${family} swarmd`, 'T');
      this.#nftLine(`${netns} ${family}`, bare, fixed.get(family) ?? '');
    }
  }

  /** @param where namespace and family. */
  #nftLine(where: string, line: string, fixed: string): void {
    if (line === '') return;
    const table = this.#tables.get(where);
    if (line === 'load T' || line === 'add table T') {
      const made = table ?? { fixed: '', chains: new Map(), elements: new Map(), sets: new Map() };
      made.fixed = line === 'load T' ? fixed : made.fixed;
      this.#tables.set(where, made);
      return;
    }
    if (line === 'delete table T') {
      this.#tables.delete(where);
      return;
    }
    if (table === undefined) throw new Error(`no table in ${where}`);
    const [, verb = '', kind = '', name = '', rest = ''] =
      /^(\w+) (\w+) T (\S+) ?(.*)$/.exec(line) ?? [];
    if (kind === 'set') changeSet(table, `${verb} ${name}`, rest);
    else if (kind === 'element') changeElements(table, `${verb} ${name}`, rest);
    else changeChain(table, `${verb} ${kind} ${name}`, rest);
  }
}

function changeSet({ chains, sets }: Table, command: string, declaration: string): void {
  const [verb, name = ''] = command.split(' ');
  if (verb === 'add') {
    expectThat((sets.get(name) ?? declaration) === declaration, `set ${name} is another`);
    sets.set(name, declaration);
    return;
  }
  const used = [...chains.values()].flat().some((rule) => rule.split(' ').includes(`@${name}`));
  expectThat(!used && sets.delete(name), `set ${name} is in use, or not there`);
}

function changeChain({ chains, elements, sets }: Table, command: string, rule: string): void {
  const [verb, kind, name = ''] = command.split(' ');
  const rules = chains.get(name);
  if (`${verb} ${kind}` === 'add chain') {
    chains.set(name, rules ?? []);
    return;
  }
  if (rules === undefined) throw new Error(`no chain ${name}`);
  if (kind === 'rule') {
    for (const [, set = ''] of rule.matchAll(/@(\w+)/g)) {
      expectThat(!set.startsWith('mem_') || sets.has(set), `no set ${set}`);
    }
    for (const [, target = ''] of rule.matchAll(/goto (\w+)/g)) {
      expectThat(chains.has(target), `no chain ${target}`);
    }
    rules.push(rule);
  } else if (verb === 'flush') rules.length = 0;
  else {
    const used =
      [...elements.values()].some((set) => [...set.values()].includes(`jump ${name}`)) ||
      [...chains.values()].flat().some((one) => ` ${one},`.includes(` goto ${name}`));
    expectThat(!used && rules.length === 0, `chain ${name} is in use`);
    chains.delete(name);
  }
}

function changeElements({ chains, elements }: Table, command: string, braces: string): void {
  const [verb, name = ''] = command.split(' ');
  const set = elements.get(name) ?? new Map<string, string>();
  elements.set(name, set);
  for (const item of braces.slice(2, -2).split(', ')) {
    const [key = '', value = ''] = item.split(' : ');
    if (verb === 'delete') expectThat(set.delete(key), `no element ${key} in ${name}`);
    else {
      expectThat(!set.has(key), `element ${key} exists in ${name}`);
      const chain = /^jump (.*)$/.exec(value)?.[1];
      expectThat(chain === undefined || chains.has(chain), `no chain ${chain}`);
      set.set(key, value);
    }
  }
}

function after(words: readonly string[], word: string): string | undefined {
  const at = words.indexOf(word);
  return at < 0 ? undefined : words[at + 1];
}

function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Error(`the kernel would refuse: ${what}`);
}
