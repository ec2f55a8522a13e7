export { createNetworkPlane } from './plane.ts';
export type {
  NetworkAttachment,
  NetworkFinding,
  NetworkPlane,
  NetworkPlaneOptions,
} from './types.ts';
