/** Tasks for tests, complete by the schema, with what a test cares about. */
import { asId, taskSpec, type DesiredState, type Task, type TaskStatus } from '@swarmd/model';

export interface TaskOptions {
  readonly id?: string;
  readonly desired?: DesiredState;
  readonly state?: TaskStatus['state'];
  readonly container?: object;
  readonly memoryBytes?: number;
  readonly networks?: readonly string[];
}

export function aTask(options: TaskOptions = {}): Task {
  return {
    id: asId('task', options.id ?? 't1'),
    meta: { version: 1, createdAt: 0, updatedAt: 0 },
    serviceId: asId('service', 's1'),
    serviceName: 'web',
    slot: 1,
    spec: taskSpec.parse({
      container: { image: 'registry/busybox:1', ...options.container },
      limits: { memoryBytes: options.memoryBytes ?? 0 },
    }),
    specVersion: 1,
    nodeId: asId('node', 'n1'),
    desiredState: options.desired ?? 'running',
    status: { state: options.state ?? 'assigned', timestamp: 0, message: '', error: '' },
    networks: (options.networks ?? []).map((id, index) => ({
      networkId: asId('network', id),
      address: `10.0.${index}.5/24`,
      aliases: [],
    })),
    gatewayAddress: '100.64.1.2',
    ports: [],
    because: [],
  };
}
