/** What goes with every line of a container, as its log driver was told: tag, labels, variables. Pure. */
import { expandTag, type LogPlan } from '@swarmd/model';

import type { LocalImage } from '../image/store.ts';
import { ID_SHORT_CHARS } from '../limits.ts';
import type { ContainerRequest } from '../types.ts';

/** What Docker gives lines where the whole machine's come together. */
const DEFAULT_TAG = '{{.ID}}';

/** Asked for, as Docker names them: labels and variables by their own names, and `tag` if there is one. */
export function logAttributes(
  { attributes, driver }: LogPlan,
  request: ContainerRequest,
  image: LocalImage,
): Record<string, string> {
  const { labels, labelsRegex, env, envRegex, tag } = attributes;
  const allLabels = { ...request.labels, ...request.spec.labels };
  const allEnv = Object.fromEntries(
    [...image.config.env, ...request.spec.env].map((one) => {
      const at = one.indexOf('=');
      return at < 0 ? [one, ''] : [one.slice(0, at), one.slice(at + 1)];
    }),
  ) as Record<string, string>;
  const template = tag === '' && (driver === 'syslog' || driver === 'journald') ? DEFAULT_TAG : tag;
  return {
    ...chosen(allLabels, labels, labelsRegex),
    ...chosen(allEnv, env, envRegex),
    ...(template === '' ? {} : { tag: expandTag(template, tagValues(request, image)) }),
  };
}

function chosen(
  all: Readonly<Record<string, string>>,
  names: readonly string[],
  regex: string,
): Record<string, string> {
  const pattern = regex === '' ? undefined : new RegExp(regex);
  return Object.fromEntries(
    Object.entries(all).filter(([name]) => names.includes(name) || pattern?.test(name) === true),
  );
}

function tagValues(request: ContainerRequest, image: LocalImage) {
  const imageId = image.id;
  return {
    ID: request.id.slice(0, ID_SHORT_CHARS),
    FullID: request.id,
    Name: request.name,
    ImageID: imageId.replace(/^sha256:/, '').slice(0, ID_SHORT_CHARS),
    ImageFullID: imageId,
    ImageName: request.spec.image,
    DaemonName: 'swarmd',
  };
}
