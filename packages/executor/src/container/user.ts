/** user[:group] of a spec or image, resolved by the image's own passwd and group files. Pure. */
import { SwarmError } from '@swarmd/base';

import type { ProcessUser } from '../oci/spec.ts';

export interface ResolvedUser extends ProcessUser {
  /** Home directory by passwd, "/" when unknown. */
  readonly home: string;
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/**
 * `more`: groups besides. Numbers need not exist in the files; names must. Without a group: the account's own and those that
 * list it as a member. The primary group is also a supplementary one, so that a process cannot shed
 * it to pass a mode that shuts its group out (CVE-2022-36109 in Docker).
 * @throws SwarmError `failed-precondition` naming what is missing in the image.
 */
export function resolveUser(
  wanted: string,
  files: { readonly passwd: string; readonly group: string },
  more: readonly string[] = [],
): ResolvedUser {
  const user = accountOf(wanted, files);
  const extra = more.map((name) => groupId(parseGroup(files.group), name));
  return { ...user, additionalGids: [...new Set([...user.additionalGids, ...extra])] };
}

function accountOf(
  wanted: string,
  files: { readonly passwd: string; readonly group: string },
): ResolvedUser {
  const [userPart = '', groupPart] = wanted.split(':');
  const accounts = parsePasswd(files.passwd);
  const groups = parseGroup(files.group);
  const user = userPart || '0';
  const account = accounts.find((entry) => entry.name === user) ?? byNumber(accounts, user);
  if (account === undefined) {
    throw new SwarmError('failed-precondition', `user "${user}" is not in the image's /etc/passwd`);
  }
  if (groupPart !== undefined && groupPart !== '') {
    const group = groupId(groups, groupPart);
    return { uid: account.uid, gid: group, additionalGids: [group], home: account.home };
  }
  const others = groups
    .filter((group) => group.gid !== account.gid && group.members.includes(account.name))
    .map((group) => group.gid);
  const additionalGids = [account.gid, ...others];
  return { uid: account.uid, gid: account.gid, additionalGids, home: account.home };
}

function groupId(groups: readonly Group[], wanted: string): number {
  const found = groups.find((entry) => entry.name === wanted)?.gid ?? asNumber(wanted);
  if (found !== undefined) return found;
  throw new SwarmError('failed-precondition', `group "${wanted}" is not in the image's /etc/group`);
}

function byNumber(accounts: readonly Account[], text: string): Account | undefined {
  const uid = asNumber(text);
  if (uid === undefined) return undefined;
  return accounts.find((entry) => entry.uid === uid) ?? { name: '', uid, gid: 0, home: '/' };
}

function asNumber(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 - 1 ? Number(text) : undefined;
}

function parsePasswd(text: string): readonly Account[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid = '', gid = '', , home = ''] = line.split(':');
    const numbers = { uid: asNumber(uid), gid: asNumber(gid) };
    if (name === '' || numbers.uid === undefined || numbers.gid === undefined) return [];
    return [{ name, uid: numbers.uid, gid: numbers.gid, home: home.trim() || '/' }];
  });
}

function parseGroup(text: string): readonly Group[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , gid = '', members = ''] = line.split(':');
    const number = asNumber(gid);
    return name === '' || number === undefined
      ? []
      : [{ name, gid: number, members: members.trim().split(',') }];
  });
}
