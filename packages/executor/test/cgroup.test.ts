import { describe, expect, it } from 'vitest';

import { cgroupLayout } from '../src/oci/cgroup.ts';

const mount = (target: string, type: string): string =>
  `30 20 0:26 / ${target} rw,relatime shared:4 - ${type} ${type} rw`;
const ROOT = '/sys/fs/cgroup';
const V1 = ['memory', 'cpu,cpuacct', 'pids', 'devices'].map((name) =>
  mount(`${ROOT}/${name}`, 'cgroup'),
);

describe('cgroup layout', () => {
  it('version 2', () => {
    expect(cgroupLayout(mount(ROOT, 'cgroup2'), '')).toEqual({ version: 2 });
  });

  it('version 2 mounted over version 1', () => {
    const lines = [mount(ROOT, 'tmpfs'), ...V1, mount(ROOT, 'cgroup2')];
    expect(cgroupLayout(lines.join('\n'), '')).toEqual({ version: 2 });
  });

  it('version 1, with or without an empty version 2 beside it', () => {
    const v1 = {
      version: 1,
      hierarchies: ['memory', 'cpu,cpuacct', 'pids', 'devices'].map((name) => `${ROOT}/${name}`),
    };
    expect(cgroupLayout([mount(ROOT, 'tmpfs'), ...V1].join('\n'), '')).toEqual(v1);
    expect(cgroupLayout([...V1, mount(`${ROOT}/unified`, 'cgroup2')].join('\n'), '\n')).toEqual(v1);
  });

  it.each([
    ['nothing mounted', [], '', /mount them/],
    [
      'a hybrid the runtime refuses',
      [...V1, mount(`${ROOT}/unified`, 'cgroup2')],
      'hugetlb\n',
      /umount \/sys\/fs\/cgroup\/unified/,
    ],
    ['a controller missing', V1.slice(1), '', /"memory" is not mounted/],
  ])('says what to do about %s', (_, ...[lines, controllers, message]) => {
    expect(() => cgroupLayout(lines.join('\n'), controllers)).toThrow(message);
  });
});
