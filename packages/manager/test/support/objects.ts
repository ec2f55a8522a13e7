/** Objects as tests need them: complete, with the few fields that matter given. */
import { asId, serviceSpec, type Config, type Node, type Service, type Task } from '@swarmd/model';

const META = { version: 1, createdAt: 0, updatedAt: 0 };

export function aNode(id: string, fields: Partial<Node> = {}): Node {
  return {
    id: asId('node', id),
    meta: META,
    spec: { labels: {}, role: 'worker', availability: 'active' },
    role: 'worker',
    index: 1,
    gatewaySubnet: '100.64.1.0/24',
    ingressAddress: '10.255.0.1',
    status: { state: 'ready', message: '', address: '10.0.0.1', agentAddress: '', since: 0 },
    ...fields,
  };
}

export function aService(id: string, fields: Partial<Service> = {}): Service {
  return {
    id: asId('service', id),
    meta: META,
    spec: serviceSpec.parse({ name: id, task: { container: { image: 'x' } } }),
    specVersion: 0,
    endpoint: { ports: [], virtualIps: [] },
    because: [],
    ...fields,
  };
}

export function aTask(id: string, fields: Partial<Task> = {}): Task {
  const service = aService('web');
  return {
    id: asId('task', id),
    meta: META,
    serviceId: service.id,
    serviceName: 'web',
    slot: 1,
    spec: service.spec.task,
    specVersion: 0,
    desiredState: 'running',
    status: { state: 'running', timestamp: 0, message: '', error: '' },
    networks: [],
    ports: [],
    because: [],
    ...fields,
  };
}

export function aConfig(id: string, data: Uint8Array): Config {
  return {
    id: asId('config', id),
    meta: META,
    spec: { name: id, labels: {}, data, templating: 'none' },
    number: 1,
  };
}
