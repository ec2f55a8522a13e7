export { hostNetworks, isOwnLink } from './apply/host-networks.ts';
export { createNetworkPlane } from './plane.ts';
export type { NetworkAttachment, NetworkPlane, NetworkPlaneOptions } from './types.ts';
