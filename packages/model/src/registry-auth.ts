/**
 * Credentials for registries, in the shape of Docker's config.json: {"auths": {HOST: {"auth":
 * base64(user:password), "identitytoken": ...}}}. Pure; whoever reads or sends the bytes keeps them secret.
 */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
  /** A refresh token of the registry's token service; then the password does not count. Else empty. */
  readonly identityToken: string;
}

/** By host[:port]. */
export type RegistryAuth = Readonly<Record<string, RegistryCredentials>>;

/** Docker's tools write docker.io as the address of an API that is long gone. */
const DOCKER_HUB = 'docker.io';
const DOCKER_HUB_NAMES = new Set(['index.docker.io', 'registry-1.docker.io', DOCKER_HUB]);

/** "https://index.docker.io/v1/" and the like -> host[:port] as image references name it. */
export function registryHost(name: string): string {
  const host = name.replace(/^https?:\/\//, '').split('/', 1)[0] ?? '';
  return DOCKER_HUB_NAMES.has(host) ? DOCKER_HUB : host;
}

/**
 * The registry of an image's name, and the rest of the name. The first component is a registry if it
 * looks like a host: has a dot or a port, or is localhost (Docker's rule).
 */
export function splitRegistry(name: string): { readonly registry: string; readonly path: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = /[.:[]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  if (!isHost) return { registry: DOCKER_HUB, path: name };
  return { registry: registryHost(first), path: name.slice(slash + 1) };
}

/** What of a document can be used; entries without credentials (kept by a helper program) are left out. */
export function parseRegistryAuth(document: Uint8Array): RegistryAuth | Error {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(document));
  } catch (error) {
    return new Error('it is not JSON', { cause: error });
  }
  const auths = fieldsOf(fieldsOf(json)?.['auths']);
  if (auths === undefined) return new Error('it has no "auths"');
  const entries = Object.entries(auths).flatMap(([name, entry]) => {
    const credentials = credentialsOf(fieldsOf(entry) ?? {});
    return credentials === undefined ? [] : [[registryHost(name), credentials] as const];
  });
  return Object.fromEntries(entries);
}

/** The same in bytes: what `parseRegistryAuth` reads. */
export function formatRegistryAuth(auth: RegistryAuth): Uint8Array {
  const auths = Object.entries(auth).map(([host, { username, password, identityToken }]) => [
    host,
    {
      auth: encode(`${username}:${password}`),
      ...(identityToken === '' ? {} : { identitytoken: identityToken }),
    },
  ]);
  return new TextEncoder().encode(JSON.stringify({ auths: Object.fromEntries(auths) }));
}

function credentialsOf(entry: Readonly<Record<string, unknown>>): RegistryCredentials | undefined {
  const text = (name: string): string => {
    const value = entry[name];
    return typeof value === 'string' ? value : '';
  };
  const identityToken = text('identitytoken');
  const pair = decode(text('auth'));
  const colon = pair.indexOf(':');
  const username = text('username') || (colon < 0 ? '' : pair.slice(0, colon));
  const password = text('password') || (colon < 0 ? '' : pair.slice(colon + 1));
  return identityToken === '' && username === ''
    ? undefined
    : { username, password, identityToken };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function encode(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function decode(base64: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (one) => one.charCodeAt(0)));
  } catch {
    // Not ours to repair: an entry without credentials.
    return '';
  }
}
