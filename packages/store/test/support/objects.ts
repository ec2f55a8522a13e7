/** What tests of the store write, and how they wait. */
import { errorCode } from '@swarmd/base';
import { asId, serviceSpec, type Service, type Task } from '@swarmd/model';

/** Aborts never. */
export const never: AbortSignal = new AbortController().signal;

export function service(name: string, id = name): Service {
  return {
    id: asId('service', id),
    meta: { version: 0, createdAt: 0, updatedAt: 0 },
    spec: serviceSpec.parse({ name, task: { container: { image: 'busybox' } } }),
    specVersion: 0,
    endpoint: { ports: [], virtualIps: [] },
    because: [],
  };
}

export function task(id: string, changes: Partial<Task> = {}): Task {
  return {
    id: asId('task', id),
    meta: { version: 0, createdAt: 0, updatedAt: 0 },
    serviceId: asId('service', 'web'),
    serviceName: 'web',
    slot: 1,
    spec: service('web').spec.task,
    specVersion: 0,
    desiredState: 'running',
    status: { state: 'pending', timestamp: 0, message: '', error: '' },
    networks: [],
    ports: [],
    because: [],
    ...changes,
  };
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => errorCode(error),
  );
}

export async function turns(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}
