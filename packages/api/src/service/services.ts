/** All services of `swarm.v1`, with who may call what: the one table that authorization reads. */
import type { Control } from '../contract/control.ts';
import type { Engine } from '../contract/engine.ts';
import type { Ca, Leader, Local, Membership, Watch } from '../contract/manager-side.ts';
import type { AgentService, Dispatcher, Logs } from '../contract/node-side.ts';
import type { Access, Method, Service } from './definition.ts';

type Result = Method['result'];

const reads =
  (access: Access) =>
  (field?: string): Method => ({ access, writes: false, result: resultOf(field) });
const writes =
  (access: Access) =>
  (field?: string): Method => ({ access, writes: true, result: resultOf(field) });

function resultOf(field: string | undefined): Result {
  if (field === undefined) return 'nothing';
  return field === 'message' ? 'message' : { field };
}

const read = reads('manager');
const write = writes('manager');

export const controlService: Service<Control> = {
  name: 'Control',
  methods: {
    createService: write('service'),
    getService: read('service'),
    listServices: read('services'),
    listServiceCounts: read('counts'),
    updateService: write('service'),
    removeService: write(),
    preview: read('message'),
    getTask: read('task'),
    listTasks: read('tasks'),
    listServiceWaits: read('waits'),
    listNodeVerdicts: read('verdicts'),
    getNode: read('node'),
    listNodes: read('nodes'),
    updateNode: write('node'),
    removeNode: write(),
    createNetwork: write('network'),
    getNetwork: read('network'),
    listNetworks: read('networks'),
    updateNetwork: write('network'),
    removeNetwork: write(),
    createSecret: write('secret'),
    getSecret: read('secret'),
    listSecrets: read('secrets'),
    updateSecret: write('secret'),
    removeSecret: write(),
    createConfig: write('config'),
    getConfig: read('config'),
    listConfigs: read('configs'),
    updateConfig: write('config'),
    removeConfig: write(),
    getCluster: read('cluster'),
    updateCluster: write('cluster'),
  },
};

export const watchService: Service<Watch> = {
  name: 'Watch',
  methods: { watch: read('message') },
};

export const logsService: Service<Logs> = {
  name: 'Logs',
  methods: { subscribe: read('chunk') },
};

export const membershipService: Service<Membership> = {
  name: 'Membership',
  methods: { join: write('message'), move: write(), leave: write(), status: read('message') },
};

export const leaderService: Service<Leader> = {
  name: 'Leader',
  methods: {
    reportStatuses: read(),
    reportSessions: read(),
    reportApplied: read(),
    reportUsage: read(),
  },
};

export const caService: Service<Ca> = {
  name: 'Ca',
  methods: { issueCertificate: reads('anyone')('message') },
};

export const dispatcherService: Service<Dispatcher> = {
  name: 'Dispatcher',
  methods: { session: reads('node')('message') },
};

/** On agents' own listeners. */
export const agentService: Service<AgentService> = {
  name: 'Agent',
  methods: { taskLogs: read('chunk') },
};

/** On agents' own listeners for managers, on managers for users. */
export const engineService: Service<Engine> = {
  name: 'Engine',
  methods: {
    session: write('message'),
    top: read('processes'),
    stats: read('stats'),
    pause: write(),
    unpause: write(),
    signal: write(),
    inspectContainer: read('container'),
    pathInfo: read('info'),
    copyOut: read('data'),
    copyIn: write('message'),
    createVolume: write('volume'),
    listVolumes: read('volumes'),
    explainNetwork: read('findings'),
    removeVolume: write(),
    listImages: read('images'),
    pullImage: write('message'),
    resolveImage: read('message'),
    checkRegistryAuth: read(),
    inspectImage: read('message'),
    pushImage: write('message'),
    saveImages: read('data'),
    loadImages: write('message'),
    tagImage: write(),
    removeImage: write('message'),
    pruneImages: write('message'),
  },
};

export const localService: Service<Local> = {
  name: 'Local',
  methods: {
    info: reads('nobody')('info'),
    init: writes('nobody')('info'),
    join: writes('nobody')('info'),
    leave: writes('nobody')(),
    checkNetwork: reads('nobody')('findings'),
  },
};
