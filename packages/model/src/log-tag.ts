/** Tags of log lines: Docker's templates, of which only fields are known. Pure. */

export interface TagValues {
  /** First 12 characters of the container's id. */
  readonly ID: string;
  readonly FullID: string;
  readonly Name: string;
  readonly ImageID: string;
  readonly ImageFullID: string;
  readonly ImageName: string;
  readonly DaemonName: string;
}

export const TAG_FIELDS = [
  'ID',
  'FullID',
  'Name',
  'ImageID',
  'ImageFullID',
  'ImageName',
  'DaemonName',
] as const satisfies readonly (keyof TagValues)[];

const ACTION = /\{\{(.*?)\}\}/gs;

export function isTagTemplate(template: string): boolean {
  const isKnown = (action: string): boolean => fieldOf(action) !== undefined;
  const actions = [...template.matchAll(ACTION)].map((match) => match[1] ?? '');
  return actions.every(isKnown) && !template.replace(ACTION, '').includes('{{');
}

/** `template` as `isTagTemplate` accepts it. */
export function expandTag(template: string, values: TagValues): string {
  return template.replace(ACTION, (whole, action: string) => {
    const field = fieldOf(action);
    return field === undefined ? whole : values[field];
  });
}

function fieldOf(action: string): keyof TagValues | undefined {
  return TAG_FIELDS.find((field) => action.trim() === `.${field}`);
}
