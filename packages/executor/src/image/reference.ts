/**
 * Image references: [registry[:port]/]repository[:tag][@digest], with Docker's rules for what a
 * short name means. Pure. Grammar: github.com/distribution/reference.
 */
import { SwarmError } from '@swarmd/base';
import { splitRegistry } from '@swarmd/model';

export interface ImageReference {
  /** host[:port] as the user wrote it, "docker.io" for short names. */
  readonly registry: string;
  /** e.g. "library/nginx". */
  readonly repository: string;
  /** Undefined when only a digest was given. */
  readonly tag: string | undefined;
  /** "sha256:..." when given: then the tag is only a remark. */
  readonly digest: string | undefined;
}

const DEFAULT_REGISTRY = 'docker.io';
const REPOSITORY_MAX_CHARS = 255;
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const REGISTRY =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** @throws SwarmError `invalid-argument` naming the part that is wrong. */
export function parseReference(text: string): ImageReference {
  const [name = '', digest, ...rest] = text.split('@');
  if (rest.length > 0) throw invalid(text, 'it has more than one "@"');
  if (digest !== undefined && !DIGEST.test(digest)) {
    throw invalid(text, `"${digest}" is not a digest (sha256: and 64 hexadecimal digits)`);
  }
  const { registry, path } = splitRegistry(name);
  if (!REGISTRY.test(registry))
    throw invalid(text, `"${registry}" is not a registry's host[:port]`);
  const colon = path.indexOf(':');
  const repository = colon < 0 ? path : path.slice(0, colon);
  const tag = colon < 0 ? undefined : path.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, `"${tag}" is not a tag`);
  if (repository === '') throw invalid(text, 'the repository is missing');
  if (
    repository.length > REPOSITORY_MAX_CHARS ||
    !repository.split('/').every((component) => COMPONENT.test(component))
  ) {
    throw invalid(text, `"${repository}" is not a repository: lower-case letters, digits, ._-/`);
  }
  return {
    registry,
    repository:
      registry === DEFAULT_REGISTRY && !path.includes('/') ? `library/${repository}` : repository,
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
  };
}

/** One spelling for one image: what the index of images is keyed by. A digest hides the tag. */
export function canonicalReference(reference: ImageReference): string {
  const name = `${reference.registry}/${reference.repository}`;
  if (reference.digest !== undefined) return `${name}@${reference.digest}`;
  return `${name}:${reference.tag ?? 'latest'}`;
}

/** The reference as the user wrote it, its tag said aloud, and the digest. */
export function pinnedReference(text: string, digest: string): string {
  const hasTag = /:[^/]+$/.test(text);
  return `${text}${hasTag ? '' : ':latest'}@${digest}`;
}

function invalid(text: string, why: string): SwarmError {
  return new SwarmError(
    'invalid-argument',
    `image "${text}" is not a valid reference: ${why}; write [registry[:port]/]repository[:tag][@digest]`,
  );
}
