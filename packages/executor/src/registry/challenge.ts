/** WWW-Authenticate of a registry (RFC 7235, distribution token specification). Pure. */

export interface Challenge {
  /** Lower case: "bearer", "basic". */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const PARAMETER = /([a-zA-Z0-9_-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g;

/** The first challenge of the header, or undefined when there is none. */
export function parseChallenge(header: string | null): Challenge | undefined {
  const match = /^\s*([a-zA-Z]+)(?:\s+(.*))?$/.exec(header ?? '');
  if (match === null) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, name = '', quoted, plain] of (match[2] ?? '').matchAll(PARAMETER)) {
    parameters[name.toLowerCase()] = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
  }
  return { scheme: (match[1] ?? '').toLowerCase(), parameters };
}

/** Where to ask for a token that lets us pull `repository`; undefined when the challenge names no realm. */
export function tokenUrl(challenge: Challenge, repository: string): string | undefined {
  const { realm, service, scope } = challenge.parameters;
  if (challenge.scheme !== 'bearer' || realm === undefined || !URL.canParse(realm))
    return undefined;
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope ?? `repository:${repository}:pull`);
  return url.href;
}
