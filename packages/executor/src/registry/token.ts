/**
 * Bearer tokens of a registry's token service (distribution: token and OAuth2 specifications): asked
 * for with a name and password, with an identity token, or for nobody in particular.
 */
import { SwarmError } from '@swarmd/base';
import type { RegistryCredentials } from '@swarmd/model';

import type { TokenQuestion } from './challenge.ts';
import type { HttpRequest } from './http.ts';

/** @throws SwarmError `permission-denied` when credentials would go over the wire unprotected. */
export function tokenRequest(
  { realm, service, scope }: TokenQuestion,
  credentials: RegistryCredentials | undefined,
  from: { readonly isSecure: boolean; readonly name: string },
): HttpRequest {
  const url = new URL(realm);
  if (from.isSecure && credentials !== undefined && url.protocol !== 'https:') {
    throw new SwarmError(
      'permission-denied',
      `${from.name} wants its credentials sent to ${url.origin}, which is not protected by TLS`,
    );
  }
  if (credentials !== undefined && credentials.identityToken !== '') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: credentials.identityToken,
      service,
      scope,
      client_id: 'swarmd',
    });
    return {
      url: url.href,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    };
  }
  if (service !== '') url.searchParams.set('service', service);
  for (const one of scope.split(' ').filter(Boolean)) url.searchParams.append('scope', one);
  return {
    url: url.href,
    headers: credentials === undefined ? {} : { authorization: basic(credentials) },
  };
}

export function basic({ username, password }: RegistryCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** The token in a token service's answer; undefined when there is none. */
export function parseTokenResponse(body: Uint8Array): string | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    if (typeof json !== 'object' || json === null) return undefined;
    const fields = json as Readonly<Record<string, unknown>>;
    const token = fields['token'] ?? fields['access_token'];
    return typeof token === 'string' ? token : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
