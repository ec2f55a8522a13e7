/** What task templates may say: Swarm's fields of service, node and task, in four places of a spec. */
import type { Task } from './objects.ts';
import type { ContainerSpec } from './spec/container.ts';
import { expandTemplate, isTemplate, type Expanded, type TemplateScope } from './template.ts';

export interface TemplateNode {
  readonly id: string;
  readonly hostname: string;
  readonly platform: { readonly os: string; readonly architecture: string };
}

/** The fields of a task's templates. Slots of global services are the numbers of their nodes. */
export function taskTemplateScope(task: Task, node: TemplateNode): TemplateScope {
  return {
    fields: {
      Service: {
        ID: task.serviceId,
        Name: task.serviceName,
        Labels: task.templating?.serviceLabels ?? {},
      },
      Node: {
        ID: node.id,
        Hostname: node.hostname,
        Platform: { Architecture: node.platform.architecture, OS: node.platform.os },
      },
      Task: {
        ID: task.id,
        Name: `${task.serviceName}.${task.slot}.${task.id}`,
        Slot: String(task.slot),
      },
    },
    functions: {},
  };
}

/** Only the labels a service has may be named, and which those are shows when a task is made. */
const ANY_LABEL = new Proxy<Record<string, string>>(
  {},
  {
    get: () => 'x',
    getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true, value: 'x' }),
  },
);

const SAMPLE: TemplateScope = {
  fields: {
    Service: { ID: 'x', Name: 'x', Labels: ANY_LABEL },
    Node: { ID: 'x', Hostname: 'x', Platform: { Architecture: 'x', OS: 'x' } },
    Task: { ID: 'x', Name: 'x', Slot: '1' },
  },
  functions: {},
};

const FILE_SAMPLE: TemplateScope = {
  ...SAMPLE,
  functions: { env: () => 'x', secret: () => 'x', config: () => 'x' },
};

/** @returns what is wrong with a template in a container spec, or undefined. */
export function containerTemplateError(container: ContainerSpec): string | undefined {
  for (const [place, text] of templatesOf(container)) {
    const checked = expandTemplate(text, SAMPLE);
    if (checked.kind === 'error') return `${place}: template ${checked.message}`;
  }
  return undefined;
}

/** @returns what is wrong with the content of a templated secret or config, or undefined. */
export function fileTemplateError(content: string): string | undefined {
  const checked = expandTemplate(content, FILE_SAMPLE);
  return checked.kind === 'error' ? checked.message : undefined;
}

/** True when a task of the spec needs to know the labels of its service. */
export function namesServiceLabels(container: ContainerSpec): boolean {
  const templated = [...container.secrets, ...container.configs].length > 0;
  return templated || templatesOf(container).some(([, text]) => text.includes('.Service.Labels'));
}

/** True when templates of the spec name what a standby does not know yet. */
export function namesSlot(container: ContainerSpec): boolean {
  return templatesOf(container).some(([, text]) => /\.Task\.(Slot|Name)\b/.test(text));
}

/** The places where templates are expanded, with what is there. */
function templatesOf(container: ContainerSpec): [place: string, text: string][] {
  const places: [string, string][] = [['hostname', container.hostname]];
  for (const variable of container.env) {
    places.push([`env ${variable.split('=', 1)[0] ?? ''}`, variable]);
  }
  for (const { source, target } of container.mounts) {
    places.push([`mount ${target}`, source], [`mount ${target}`, target]);
  }
  return places.filter(([, text]) => isTemplate(text));
}

/**
 * The container spec with its templates expanded.
 * @returns the spec itself when it has none, or what is wrong.
 */
export function expandContainer(
  container: ContainerSpec,
  scope: TemplateScope,
): { readonly spec: ContainerSpec } | { readonly error: string } {
  if (templatesOf(container).length === 0) return { spec: container };
  const errors: string[] = [];
  const expanded = (text: string): string => {
    const result: Expanded = expandTemplate(text, scope);
    if (result.kind === 'text') return result.text;
    errors.push(result.message);
    return text;
  };
  const spec: ContainerSpec = {
    ...container,
    hostname: expanded(container.hostname),
    env: container.env.map((variable) => expanded(variable)),
    mounts: container.mounts.map((mount) => ({
      ...mount,
      source: expanded(mount.source),
      target: expanded(mount.target),
    })),
  };
  const [error] = errors;
  return error === undefined ? { spec } : { error };
}
