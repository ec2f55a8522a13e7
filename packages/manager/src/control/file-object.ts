/** Rules that secrets and configs share: both are files of several versions that services refer to. */
import { SwarmError, type ErrorCode } from '@swarmd/base';
import {
  asId,
  fileTemplateError,
  type Config,
  type ConfigSpec,
  type ConfigSpecInput,
  type ObjectOf,
  type Secret,
  type SecretSpec,
  type SecretSpecInput,
} from '@swarmd/model';
import { fileIds, withFileVersion, type FileTable } from '@swarmd/planner';
import type { ReadView, Transaction } from '@swarmd/store';

import { granted } from './granted.ts';
import { notFound } from './validate.ts';

type File = Secret | Config;
type FileSpec = SecretSpec | ConfigSpec;

export interface FileUpdate {
  /** Of the newest version. */
  readonly id: string;
  /** `meta.version` that was read. */
  readonly version: number;
  readonly spec: SecretSpecInput | ConfigSpecInput;
  readonly keepServices?: boolean;
}

export function refuseTakenName(view: ReadView, table: FileTable, name: string): void {
  const holder = table === 'secret' ? view.secretByName(name) : view.configByName(name);
  if (holder === undefined) return;
  throw new SwarmError(
    'already-exists',
    `a ${table} named "${name}" exists already (${holder.id}); change it with swarmctl ${table} update, or choose another name`,
  );
}

/** @throws SwarmError `invalid-argument` when the content is to be expanded and cannot be. */
export function refuseBadTemplate(table: FileTable, spec: FileSpec): void {
  if (spec.templating === 'none') return;
  const fault = fileTemplateError(new TextDecoder().decode(spec.data));
  if (fault === undefined) return;
  throw new SwarmError('invalid-argument', `${table} ${spec.name}: template ${fault}`);
}

/**
 * Makes the next version, and changes the services over that use any version; other labels alone are
 * written to the newest version.
 * @param change.parse Of the spec with the content that it shall have. @param change.newId Of the next version.
 * @returns the id of the newest version from now on.
 * @throws SwarmError `not-found`, `out-of-date`, `failed-precondition`, `unimplemented`, `invalid-argument`
 */
export function updateFile<T extends FileTable>(
  tx: Transaction,
  change: {
    table: T;
    request: FileUpdate;
    parse: (spec: object) => FileSpec;
    newId: string;
    now: number;
  },
): ObjectOf[T] {
  const { table, request, now } = change;
  const stored = newest(tx, table, request);
  const isKept = request.spec.data.byteLength === 0;
  const spec = change.parse({ ...request.spec, ...(isKept ? { data: stored.spec.data } : {}) });
  if (spec.name !== stored.spec.name) {
    throw new SwarmError(
      'unimplemented',
      `${table} ${stored.spec.name}: it cannot be renamed (to "${spec.name}"); create a new one`,
    );
  }
  refuseBadTemplate(table, spec);
  const put = (file: File): ObjectOf[T] => {
    tx.put(table, file as ObjectOf[T]);
    return file as ObjectOf[T];
  };
  const isSame =
    spec.templating === stored.spec.templating && Buffer.compare(spec.data, stored.spec.data) === 0;
  if (isSame) return put({ ...stored, spec });
  const from = new Set(versionsOf(tx, table, spec.name).map(({ id }) => id));
  put({ ...stored, replacedAt: now });
  const meta = { version: 0, createdAt: now, updatedAt: now };
  const next = { id: asId(table, change.newId), meta, spec, number: stored.number + 1 } as File;
  put(next);
  if (request.keepServices === true) return next as ObjectOf[T];
  for (const service of tx.list('service')) {
    const changed = withFileVersion(tx, service, { table, from, to: next.id, now });
    if (changed !== undefined) tx.put('service', granted(changed));
  }
  return next as ObjectOf[T];
}

function newest(view: ReadView, table: FileTable, request: FileUpdate): File {
  const stored = view.get(table, asId(table, request.id));
  if (stored === undefined) throw notFound(table, request.id);
  const { name } = stored.spec;
  const refuse = (code: ErrorCode, message: string): SwarmError =>
    new SwarmError(code, `${table} ${name}: ${message}`);
  if (stored.replacedAt !== undefined) {
    throw refuse(
      'failed-precondition',
      `${stored.id} is its version ${stored.number}, which never changes; update the newest (by its name)`,
    );
  }
  if (stored.meta.version !== request.version) {
    throw refuse(
      'out-of-date',
      `it was changed meanwhile: version ${request.version} was read, ${stored.meta.version} is stored; ` +
        `read it again and repeat the change`,
    );
  }
  return stored;
}

/** All there are of the name, in no order. */
function versionsOf(view: ReadView, table: FileTable, name: string): File[] {
  return [...view.list(table)].filter((file) => file.spec.name === name);
}

/**
 * Removes a former version, or with the newest one all of them.
 * @throws SwarmError `not-found`, `invalid-argument` naming every service that refers to one of them.
 */
export function removeFile(tx: Transaction, table: FileTable, id: string): void {
  const file = tx.get(table, asId(table, id));
  if (file === undefined) throw notFound(table, id);
  const { name } = file.spec;
  const going = file.replacedAt === undefined ? versionsOf(tx, table, name) : [file];
  const ids = new Set<string>(going.map((one) => one.id));
  const users: string[] = [];
  for (const { spec } of tx.list('service')) {
    const used = fileIds(table, spec.task.container).some((one) => ids.has(one));
    if (used) users.push(spec.name);
  }
  if (users.length > 0) {
    throw new SwarmError(
      'invalid-argument',
      `${table} ${name} is in use by service ${users.sort().join(', ')}; ` +
        `remove it from the service first`,
    );
  }
  for (const one of going) tx.delete(table, asId(table, one.id));
}
