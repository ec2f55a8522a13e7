/** What a write makes different in the object that it is about, as its dry run shows it. */
import type { Preview, Write } from '@swarmd/api';
import { assert, unreachable } from '@swarmd/base';
import { fieldChanges, networkSpec, serviceSpec, type Cluster, type ObjectOf } from '@swarmd/model';
import { fileReferences, type FileTable } from '@swarmd/planner';
import type { ChangedObject, Rehearsal } from '@swarmd/store';

type Fields = Preview['spec'];

/** Specs in which everything is as it is when nothing is said of it. */
const UNSET = {
  service: { ...serviceSpec.parse({ name: 'x', task: { container: { image: 'x' } } }), name: '' },
  network: { ...networkSpec.parse({ name: 'x' }), name: '' },
  file: { labels: {}, templating: 'none' },
};

/** Of what is removed, every field would be: none is shown. */
export function specChanges(tx: Rehearsal, write: Write): Fields {
  switch (write.kind) {
    case 'create-service':
      return oneOf(tx, 'service', ({ after }) => added(UNSET.service, after?.spec));
    case 'update-service':
      return oneOf(tx, 'service', ({ before, after }) => fieldChanges(before?.spec, after?.spec));
    case 'update-node':
      return oneOf(tx, 'node', ({ before, after }) => fieldChanges(before?.spec, after?.spec));
    case 'create-network':
      return oneOf(tx, 'network', ({ after }) => added(UNSET.network, withChoices(after)));
    case 'update-network':
      return oneOf(tx, 'network', ({ before, after }) =>
        fieldChanges(withChoices(before), withChoices(after)),
      );
    case 'create-secret':
    case 'update-secret':
      return fileChanges(tx, 'secret');
    case 'create-config':
    case 'update-config':
      return fileChanges(tx, 'config');
    case 'update-cluster':
      return oneOf(tx, 'cluster', ({ before, after }) => [
        ...fieldChanges(before?.spec, after?.spec),
        ...newTokens(before, after),
      ]);
    case 'remove-service':
    case 'remove-node':
    case 'remove-network':
    case 'remove-secret':
    case 'remove-config':
      return [];
    default:
      return unreachable(write);
  }
}

type Tell<T extends keyof ObjectOf> = (change: ChangedObject<T>) => Fields;

/** Nothing when the write changes nothing. */
function oneOf<T extends keyof ObjectOf>(tx: Rehearsal, table: T, tell: Tell<T>): Fields {
  const [change] = tx.changes().filter((one) => one.table === table);
  return change === undefined ? [] : tell(change as ChangedObject as ChangedObject<T>);
}

/** Only what is said: of a new object, what is left out is as it always is. */
function added(unset: object, spec: object | undefined): Fields {
  return fieldChanges(unset, spec).flatMap(({ path, after }) =>
    after === undefined ? [] : [{ path, after }],
  );
}

/** The spec, with what the managers chose where it leaves that to them. */
function withChoices(network: ObjectOf['network'] | undefined): object | undefined {
  if (network === undefined) return undefined;
  const { spec, subnet, gateway, vni } = network;
  return { ...spec, subnet, gateway, vni };
}

/** The version that becomes the newest, beside the one before, and the services that change over. */
function fileChanges(tx: Rehearsal, table: FileTable): Fields {
  const files = tx
    .changes()
    .filter((change) => change.table === table) as ChangedObject<FileTable>[];
  const next = files.find(({ after }) => after !== undefined && after.replacedAt === undefined);
  if (next?.after === undefined) return [];
  const last = next.before ?? files.find((change) => change !== next)?.before;
  const shown = (file: typeof last): object | undefined =>
    file === undefined ? undefined : { version: file.number, ...file.spec };
  const { name } = next.after.spec;
  return [
    ...(last === undefined
      ? added(UNSET.file, shown(next.after))
      : fieldChanges(shown(last), shown(next.after))),
    ...servicesOf(tx).flatMap(({ before, after }) => {
      const [from, to] = [before, after].map((service) =>
        versionUsed(tx, table, { service, name }),
      );
      const path = `services.${after?.spec.name}.${table}s.${name}.version`;
      return from === to
        ? []
        : [
            {
              path,
              ...(from === undefined ? {} : { before: from }),
              ...(to === undefined ? {} : { after: to }),
            },
          ];
    }),
  ];
}

function servicesOf(tx: Rehearsal): ChangedObject<'service'>[] {
  return tx.changes().filter((change) => change.table === 'service');
}

function versionUsed(
  tx: Rehearsal,
  table: FileTable,
  { service, name }: { service: ObjectOf['service'] | undefined; name: string },
): string | undefined {
  if (service === undefined) return undefined;
  const used = fileReferences(table, service.spec.task.container).find(
    (file) => file.name === name,
  );
  for (const file of tx.list(table)) if (file.id === used?.id) return `${file.number}`;
  return undefined;
}

/** What a new token is, only the real write knows. */
function newTokens(before: Cluster | undefined, after: Cluster | undefined): Fields {
  assert(before !== undefined && after !== undefined, 'the cluster is there before and after');
  return (['worker', 'manager'] as const).flatMap((role) =>
    before.rootCa.joinTokens[role] === after.rootCa.joinTokens[role]
      ? []
      : [{ path: `joinTokens.${role}`, before: '"the present one"', after: '"a new one"' }],
  );
}
