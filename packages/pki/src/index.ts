export { createRootCa, signNodeCertificate, type RootCa } from './authority.ts';
export { fetchRootCa } from './fetch-root.ts';
export { identityFromCertificate, identityFromSubject, type NodeIdentity } from './identity.ts';
export { createOverlaySecret } from './overlay-secret.ts';
export { renewalDelayMs } from './renewal.ts';
export { createKeyAndCsr } from './request.ts';
export { createJoinToken, parseJoinToken, roleOfToken } from './token.ts';
