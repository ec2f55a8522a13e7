/**
 * What would let a node take a task: all that it lacks, not only the first, as the commands that change it.
 * Nothing for what no command changes: a node that is silent or held back, that is full, or that cannot encrypt.
 * That they are right, `test/cures.property.test.ts` tries out, and `test/swarmctl` by the real command line.
 */
import { parseAffinity, type Constraint } from '@swarmd/model';

import { isAtWork } from '../task-view.ts';
import { addFlag, ofService, quoted, type Changes, type Cure, type Cured } from './cure.ts';
import { cureGeneric, curePlatform, curePlugins } from './cure-drivers.ts';
import { curePorts } from './cure-ports.ts';
import { lacksOf, meetsConstraints, type NodeState } from './filters.ts';

/** Commands, all of which are needed; undefined: no commands do it. */
export function cureOf(state: NodeState, cured: Cured): string[] | undefined {
  const changes: Changes = { node: [], services: new Map() };
  for (const lacks of lacksOf(state, cured.demand)) {
    const cure = CURES.find(([pattern]) => pattern.test(lacks))?.[1];
    if (cure === undefined || !cure(changes, state, { ...cured, lacks })) return undefined;
  }
  const { node } = state;
  return [
    ...(changes.node.length === 0
      ? []
      : [
          `swarmctl node update ${changes.node.join(' ')} ${node.description?.hostname ?? node.id}`,
        ]),
    ...[...changes.services].map(
      ([name, flags]) => `swarmctl service update ${flags.join(' ')} ${name}`,
    ),
  ];
}

const CURES: readonly (readonly [RegExp, Cure])[] = [
  [/^(paused|drained)$/, ({ node }) => node.push('--availability active') > 0],
  [
    /^insufficient CPU$/,
    (changes, { node, usage }, cured) => {
      const free = (node.description?.resources.nanoCpus ?? 0) - usage.of(node.id).nanoCpus;
      // A thousandth is the least that can be asked for.
      const cpus = Math.max(0, Math.floor(free / 1e6) / 1e3);
      return ofService(changes, cured, `--reserve-cpu ${cpus}`);
    },
  ],
  [
    /^insufficient memory$/,
    (changes, { node, usage }, cured) => {
      const free = (node.description?.resources.memoryBytes ?? 0) - usage.of(node.id).memoryBytes;
      const mebibytes = Math.floor(free / 2 ** 20);
      return ofService(
        changes,
        cured,
        `--reserve-memory ${mebibytes < LEAST_MIB ? 0 : `${mebibytes}M`}`,
      );
    },
  ],
  [/^placement constraints not met$/, cureConstraints],
  [
    /^max replicas per node reached$/,
    (changes, { ofService: count }, cured) =>
      ofService(changes, cured, `--replicas-max-per-node ${count + 1}`),
  ],
  [/^(no|a) task of /, cureAffinities],
  [/^a task that keeps the service away$/, cureRepulsion],
  [/^host-mode port already in use$/, curePorts],
  [/^unsupported platform$/, curePlatform],
  [/^no (volume|log|network) driver |^no (runtime|interface) /, curePlugins],
  [/^insufficient generic resource /, cureGeneric],
];

/** What a task may reserve at least, if anything. */
const LEAST_MIB = 4;

const NODE_LABEL = /^node\.labels\./i;
const PLAIN = /^[\w.-]+$/;

function cureConstraints(changes: Changes, { node }: NodeState, cured: Cured): boolean {
  const { constraints, spec } = cured.demand;
  const unmet = constraints.filter((constraint) => !meetsConstraints(node, [constraint]));
  // Two demands of one label may contradict each other: then the service asks for less.
  const keys = constraints.map(({ key }) => key.toLowerCase());
  for (const constraint of unmet) {
    const text = spec.placement.constraints[constraints.indexOf(constraint)] ?? '';
    const isOnly = keys.filter((key) => key === constraint.key.toLowerCase()).length === 1;
    const label = isOnly && NODE_LABEL.test(constraint.key) ? labelFlag(constraint) : undefined;
    if (label !== undefined) changes.node.push(label);
    else ofService(changes, cured, `--constraint-rm ${quoted(text)}`);
  }
  return true;
}

/** What the label of the node has to be; undefined where a plain word will not do. */
function labelFlag({ key, operator, values }: Constraint): string | undefined {
  const name = key.replace(NODE_LABEL, '');
  const [value = ''] = values;
  switch (operator) {
    case '==':
    case 'in':
      return PLAIN.test(value) ? `--label-add ${name}=${value}` : undefined;
    case '>':
      return `--label-add ${name}=${Math.floor(Number(value)) + 1}`;
    case '<':
      return `--label-add ${name}=${Math.ceil(Number(value)) - 1}`;
    case 'exists':
      return `--label-add ${name}=yes`;
    case '!=':
    case 'not in':
    case 'not exists':
      return values.includes('') ? undefined : `--label-rm ${name}`;
    default:
      return undefined;
  }
}

/** Wishes are none of its business. Of all that are not met, as the words name the first one only. */
function cureAffinities(changes: Changes, { node, usage }: NodeState, cured: Cured): boolean {
  const here = usage.of(node.id);
  const { affinities } = cured.demand.spec.placement;
  for (const text of affinities) {
    const parsed = parseAffinity(text);
    if (typeof parsed === 'string' || !parsed.required) continue;
    const { service, together } = parsed;
    const isThere = here.services.has(service) || (!together && here.expected.has(service));
    if (isThere !== together) ofService(changes, cured, `--affinity-rm ${quoted(text)}`);
  }
  return true;
}

function cureRepulsion(changes: Changes, { node }: NodeState, { view, task }: Cured): boolean {
  const found = new Set<string>();
  for (const other of view.tasksByNode(node.id)) {
    if (!isAtWork(other)) continue;
    for (const text of other.spec.placement.affinities) {
      const parsed = parseAffinity(text);
      if (typeof parsed === 'string' || parsed.together || !parsed.required) continue;
      if (parsed.service !== task.serviceName || found.has(`${other.serviceName} ${text}`))
        continue;
      found.add(`${other.serviceName} ${text}`);
      addFlag(changes.services, other.serviceName, `--affinity-rm ${quoted(text)}`);
    }
  }
  // One that is only expected there keeps others away as well.
  return found.size > 0;
}
