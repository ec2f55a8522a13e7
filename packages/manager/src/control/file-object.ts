/** Rules that secrets and configs share: both are files that services refer to. */
import { SwarmError } from '@swarmd/base';
import {
  type Config,
  type ContainerSpec,
  type Secret,
  fileTemplateError,
  type SecretSpec,
  type ConfigSpec,
} from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

export interface FileKind {
  readonly word: 'secret' | 'config';
  readonly byName: (view: ReadView, name: string) => Secret | Config | undefined;
  readonly references: (container: ContainerSpec) => readonly { readonly id: string }[];
}

export function refuseTakenName(view: ReadView, kind: FileKind, name: string): void {
  const holder = kind.byName(view, name);
  if (holder === undefined) return;
  throw new SwarmError(
    'already-exists',
    `a ${kind.word} named "${name}" exists already (${holder.id}); choose another name`,
  );
}

/** @throws SwarmError `invalid-argument` naming every service that refers to it. */
export function refuseReferenced(view: ReadView, kind: FileKind, object: Secret | Config): void {
  const users: string[] = [];
  for (const service of view.list('service')) {
    const references = kind.references(service.spec.task.container);
    if (references.some((reference) => reference.id === object.id)) users.push(service.spec.name);
  }
  if (users.length === 0) return;
  throw new SwarmError(
    'invalid-argument',
    `${kind.word} ${object.spec.name} is in use by service ${users.sort().join(', ')}; ` +
      `remove it from the service first`,
  );
}

/** @throws SwarmError `invalid-argument` when the content is to be expanded and cannot be. */
export function refuseBadTemplate(kind: FileKind, spec: SecretSpec | ConfigSpec): void {
  if (spec.templating === 'none') return;
  const fault = fileTemplateError(new TextDecoder().decode(spec.data));
  if (fault === undefined) return;
  throw new SwarmError('invalid-argument', `${kind.word} ${spec.name}: template ${fault}`);
}
