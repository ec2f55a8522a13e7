export { Cluster, type NodeRow } from './cluster.ts';
export { waitUntil } from './condition.ts';
export { removeCache, unpackPackages } from './debian.ts';
export { Host } from './host.ts';
export { Lab } from './lab.ts';
export { between, lossy, oneWay, type LinkFault } from './links.ts';
export { CACHE_DIR, Layout, type HostPlace, type LabOptions } from './layout.ts';
export { fillCache, startGuardedRegistry } from './registry.ts';
