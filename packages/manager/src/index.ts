export { startManager, type Manager } from './manager.ts';
export type { ListenAddress, ManagerIdentity, ManagerOptions } from './options.ts';
