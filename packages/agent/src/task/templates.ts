/** A task's templates on its node: in the container spec, and in the content of secrets and configs. */
import { SwarmError } from '@swarmd/base';
import {
  expandContainer,
  expandTemplate,
  taskTemplateScope,
  type AssignmentSet,
  type ContainerSpec,
  type FileReference,
  type Task,
  type TemplateNode,
  type TemplateScope,
} from '@swarmd/model';

const HOSTNAME_CHARS_MAX = 63;

/** @throws SwarmError `invalid-argument` when a template cannot be expanded for this task. */
export function expandedSpec(task: Task, node: TemplateNode): ContainerSpec {
  const expanded = expandContainer(task.spec.container, taskTemplateScope(task, node));
  if ('error' in expanded) throw invalid(expanded.error);
  const { hostname } = expanded.spec;
  if (hostname.length > HOSTNAME_CHARS_MAX) {
    throw invalid(`hostname "${hostname}" has more than ${HOSTNAME_CHARS_MAX} characters`);
  }
  return expanded.spec;
}

/** As the task's own templates, with what the task has: its environment, secrets and configs. */
export function fileScope(
  task: Task,
  node: TemplateNode,
  has: { spec: ContainerSpec; assignment: AssignmentSet },
): TemplateScope {
  const { env, secrets, configs } = has.spec;
  const contentOf = (
    references: readonly FileReference[],
    known: readonly { readonly id: string; readonly data: Uint8Array }[],
  ) => {
    return (name: string): string | undefined => {
      const reference = references.find((one) => one.target === name || one.name === name);
      const content = known.find((one) => one.id === reference?.id);
      return content === undefined ? undefined : new TextDecoder().decode(content.data);
    };
  };
  return {
    ...taskTemplateScope(task, node),
    functions: {
      env: (name) => env.findLast((one) => one.startsWith(`${name}=`))?.slice(name.length + 1),
      secret: contentOf(secrets, has.assignment.secrets),
      config: contentOf(configs, has.assignment.configs),
    },
  };
}

/** @throws SwarmError `invalid-argument` */
export function expandedContent(name: string, data: Uint8Array, scope: TemplateScope): Uint8Array {
  const expanded = expandTemplate(new TextDecoder().decode(data), scope);
  if (expanded.kind === 'error') throw invalid(`${name}: ${expanded.message}`);
  return new TextEncoder().encode(expanded.text);
}

function invalid(message: string): SwarmError {
  return new SwarmError('invalid-argument', `template ${message}`);
}
