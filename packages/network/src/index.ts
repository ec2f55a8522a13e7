export { createNetworkPlane } from './plane.ts';
export type { NetworkAttachment, NetworkPlane, NetworkPlaneOptions } from './types.ts';
