/**
 * From a task to what the executor needs of it: names, files of secrets and configs. Pure.
 * What their templates say is expanded here.
 */
import { posix } from 'node:path';

import { SwarmError } from '@swarmd/base';
import type { AssignmentSet, FileReference, Task, TemplateNode } from '@swarmd/model';

import type { ContainerFile, ContainerRequest, NetworkAttachment } from '../ports.ts';
import { expandedContent, expandedSpec, fileScope } from './templates.ts';

const SECRETS_FOLDER = '/run/secrets';

/** `web.2.4f0q...`: service, slot, task. */
export function containerName(task: Task): string {
  return `${task.serviceName}.${task.slot}.${task.id}`;
}

/** A secret or config as the managers sent it. */
interface Content {
  readonly id: string;
  readonly data: Uint8Array;
  readonly templated: boolean;
}

/**
 * @throws SwarmError `unavailable` when a secret or config has not reached this node yet,
 * `invalid-argument` when a template cannot be expanded.
 */
export function containerRequest(
  task: Task,
  attachment: NetworkAttachment,
  on: { readonly node: TemplateNode; readonly assignment: AssignmentSet },
): ContainerRequest {
  const { node, assignment } = on;
  const spec = expandedSpec(task, node);
  const expand = (reference: FileReference, { data, templated }: Content): Uint8Array =>
    templated
      ? expandedContent(reference.name, data, fileScope(task, node, { spec, assignment }))
      : data;
  return {
    id: task.id,
    name: containerName(task),
    spec: { ...spec, env: [...spec.env, ...claimedEnv(task)] },
    limits: task.spec.limits,
    files: [
      ...files('secret', { references: spec.secrets, known: assignment.secrets, expand }),
      ...files('config', { references: spec.configs, known: assignment.configs, expand }),
    ],
    networkNamespace: attachment.namespace,
    hostname: spec.hostname === '' ? task.id.slice(0, 12) : spec.hostname,
    addresses: attachment.addresses,
    resolver: attachment.resolver,
    labels: {
      ...spec.labels,
      'swarmd.service.id': task.serviceId,
      'swarmd.service.name': task.serviceName,
      'swarmd.task.id': task.id,
      'swarmd.task.name': containerName(task),
      'swarmd.node.id': task.nodeId ?? '',
    },
  };
}

/** What the task holds of its node's generic resources, named as Docker names it. */
function claimedEnv(task: Task): string[] {
  return (task.claimed?.generic ?? []).map(
    ({ kind, count, names }) =>
      `DOCKER_RESOURCE_${kind.toUpperCase()}=${names.length > 0 ? names.join(',') : count}`,
  );
}

function files(
  kind: 'secret' | 'config',
  source: {
    references: readonly FileReference[];
    known: readonly Content[];
    expand: (reference: FileReference, content: Content) => Uint8Array;
  },
): ContainerFile[] {
  return source.references.map((reference) => {
    const content = source.known.find((candidate) => candidate.id === reference.id);
    if (content === undefined) {
      throw new SwarmError(
        'unavailable',
        `${kind} ${reference.name} (${reference.id}) has not reached this node yet`,
      );
    }
    const folder = kind === 'secret' ? SECRETS_FOLDER : '/';
    const { uid, gid, mode } = reference;
    return {
      path: posix.resolve(folder, reference.target),
      data: source.expand(reference, content),
      uid,
      gid,
      mode,
    };
  });
}
