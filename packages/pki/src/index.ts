export { identityFromCertificate, identityFromSubject, type NodeIdentity } from './identity.ts';
