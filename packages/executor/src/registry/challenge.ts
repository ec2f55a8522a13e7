/** WWW-Authenticate of a registry (RFC 7235, distribution token specification). Pure. */

export interface Challenge {
  /** Lower case: "bearer", "basic". */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const PARAMETER = /([a-zA-Z0-9_-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g;

/** The first challenge of the header, or undefined when there is none. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  const match = /^\s*([a-zA-Z]+)(?:\s+(.*))?$/.exec(header ?? '');
  if (match === null) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, name = '', quoted, plain] of (match[2] ?? '').matchAll(PARAMETER)) {
    parameters[name.toLowerCase()] = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
  }
  return { scheme: (match[1] ?? '').toLowerCase(), parameters };
}

/** Where and what for to ask for a token; undefined when the challenge names no realm. */
export interface TokenQuestion {
  readonly realm: string;
  readonly service: string;
  readonly scope: string;
}

export function tokenQuestion(
  { scheme, parameters }: Challenge,
  repository: string,
): TokenQuestion | undefined {
  const { realm, service = '', scope = repository && `repository:${repository}:pull` } = parameters;
  if (scheme !== 'bearer' || realm === undefined || !URL.canParse(realm)) return undefined;
  return { realm, service, scope };
}
