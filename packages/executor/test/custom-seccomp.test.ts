/** Profiles as people have them become what runtimes understand. */
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { customSeccomp, type SeccompContext } from '../src/oci/custom-seccomp.ts';

const HERE: SeccompContext = { capabilities: [], architecture: 'x64', kernel: '6.1.0-28-amd64' };

const rule = (name: string, more: object = {}): object => {
  return { names: [name], action: 'SCMP_ACT_ALLOW', ...more };
};
const namesOf = (rules: readonly object[], context: Partial<SeccompContext> = {}) =>
  customSeccomp(JSON.stringify({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: rules }), {
    ...HERE,
    ...context,
  }).syscalls.flatMap(({ names }) => names);

describe('a seccomp profile of a spec’s own', () => {
  it('stays what it is in the form of the runtime specification', () => {
    const args = [{ index: 0, value: 8, valueTwo: 0, op: 'SCMP_CMP_EQ' }];
    const profile = {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      architectures: ['SCMP_ARCH_X86_64'],
      flags: ['SECCOMP_FILTER_FLAG_LOG'],
      syscalls: [rule('clone', { errnoRet: 1, args })],
    };
    expect(customSeccomp(JSON.stringify(profile), HERE)).toEqual(profile);
  });

  it('has only the rules that are meant for the container', () => {
    const rules = [
      rule('read'),
      rule('mount', { includes: { caps: ['CAP_SYS_ADMIN'] } }),
      rule('clone', { excludes: { caps: ['CAP_SYS_ADMIN', 'CAP_OTHER'] } }),
      rule('both', { includes: { caps: ['CAP_SYS_ADMIN', 'CAP_CHOWN'] } }),
      rule('arch_prctl', { includes: { arches: ['amd64', 'x32'] } }),
      rule('breakpoint', { includes: { arches: ['arm', 'arm64'] } }),
      rule('ptrace', { includes: { minKernel: '4.8' } }),
      rule('later', { includes: { minKernel: '6.10' } }),
      rule('older', { excludes: { minKernel: '4.8' } }),
    ];
    expect(namesOf(rules)).toEqual(['read', 'clone', 'arch_prctl', 'ptrace']);
    expect(namesOf(rules, { architecture: 'arm64' })).toContain('breakpoint');
    expect(namesOf(rules, { capabilities: ['CAP_SYS_ADMIN'] })).toEqual(
      expect.arrayContaining(['mount']),
    );
    expect(namesOf(rules, { capabilities: ['CAP_SYS_ADMIN'] })).not.toContain('both');
    expect(namesOf(rules, { capabilities: ['CAP_SYS_ADMIN'] })).not.toContain('clone');
    expect(namesOf(rules, { kernel: '4.4.0' })).not.toContain('ptrace');
    expect(namesOf(rules, { kernel: '4.4.0' })).toContain('older');
    expect(namesOf(rules, { kernel: '6.18.5' })).toContain('later');
  });

  it('has the architectures of the machine’s own', () => {
    const archMap = [
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: null },
    ];
    const text = JSON.stringify({ defaultAction: 'SCMP_ACT_ERRNO', archMap });
    expect(customSeccomp(text, HERE)).toEqual({
      defaultAction: 'SCMP_ACT_ERRNO',
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
      syscalls: [],
    });
    const onArm = customSeccomp(text, { ...HERE, architecture: 'arm64' });
    expect(onArm.architectures).toEqual(['SCMP_ARCH_AARCH64']);
  });

  it('may be of the kind that names one call a rule', () => {
    expect(namesOf([{ name: 'kill', action: 'SCMP_ACT_ALLOW', args: null }])).toEqual(['kill']);
  });

  it.each([
    ['{', 'is not JSON'],
    ['{}', 'at defaultAction'],
    ['{"defaultAction":"A","syscalls":[{"names":["x"]}]}', 'at syscalls.0.action'],
    ['{"defaultAction":"A","syscalls":[{"action":"A","includes":{"minKernel":"x"}}]}', '4.8'],
  ])('is refused when it is %s', (text, message) => {
    expect(() => customSeccomp(text, HERE)).toThrow(message);
  });

  /** Where Debian's package is installed, which containers' tools depend on. */
  it('may be Podman’s default', ({ skip }) => {
    const path = '/usr/share/containers/seccomp.json';
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      skip(`no ${path}`);
      return;
    }
    const allowed = (capabilities: string[]): readonly string[] =>
      customSeccomp(text, { ...HERE, capabilities })
        .syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW')
        .flatMap(({ names }) => names);
    expect(allowed([])).toContain('read');
    expect(allowed([])).not.toContain('bpf');
    expect(allowed(['CAP_SYS_ADMIN'])).toContain('bpf');
  });
});
