/** Who asks the registry for a task's image. Pure. */
import { SwarmError } from '@swarmd/base';
import { parseRegistryAuth, type AssignmentSet, type RegistryAuth, type Task } from '@swarmd/model';

/**
 * Undefined: nobody in particular.
 * @throws SwarmError `unavailable` when the secret has not reached this node yet, `invalid-argument` when
 *   it holds no credentials.
 */
export function registryAuthOf(task: Task, { secrets }: AssignmentSet): RegistryAuth | undefined {
  const { registrySecret } = task.spec.container;
  if (registrySecret === '') return undefined;
  const secret = secrets.find(({ id }) => id === registrySecret);
  if (secret === undefined) {
    throw new SwarmError(
      'unavailable',
      `the secret with registry credentials (${registrySecret}) has not reached this node yet`,
    );
  }
  return authIn(secret.data, `secret ${registrySecret}`);
}

/** Credentials that came with a call; none when it is empty. @throws SwarmError `invalid-argument`. */
export function registryAuthFrom(document: Uint8Array | undefined): RegistryAuth | undefined {
  if (document === undefined || document.length === 0) return undefined;
  return authIn(document, 'registry credentials');
}

function authIn(document: Uint8Array, what: string): RegistryAuth {
  const auth = parseRegistryAuth(document);
  if (!(auth instanceof Error)) return auth;
  throw new SwarmError('invalid-argument', `${what}: ${auth.message}`);
}
