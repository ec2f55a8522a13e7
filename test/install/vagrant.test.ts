/** vagrant/, as far as it can be judged without a hypervisor. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { run } from '@swarmd/base/system';

const FOLDER = fileURLToPath(new URL('../../vagrant', import.meta.url));
const VALIDATE_TIMEOUT_MS = 120_000;

/** Runs Ruby that has cluster.rb loaded. @returns what it printed as JSON. */
async function ruby<T>(program: string, environment: NodeJS.ProcessEnv = {}): Promise<T> {
  const { stdout } = await run('ruby', ['-r', join(FOLDER, 'cluster.rb'), '-e', program], {
    env: { PATH: process.env['PATH'], ...environment },
  });
  return JSON.parse(stdout) as T;
}

const HOSTS = 'puts JSON.generate(SwarmdCluster.hosts.map { |h| h.to_a.join(" ") })';

describe('the table of hosts', () => {
  it.each([
    [
      {},
      [
        'm1 manager 192.168.61.11',
        'm2 manager 192.168.61.12',
        'm3 manager 192.168.61.13',
        'w1 worker 192.168.61.101',
        'w2 worker 192.168.61.102',
      ],
    ],
    [{ MANAGERS: '1', WORKERS: '0' }, ['m1 manager 192.168.61.11']],
    [
      { MANAGERS: '1', WORKERS: '1', SUBNET: '10.9.8' },
      ['m1 manager 10.9.8.11', 'w1 worker 10.9.8.101'],
    ],
  ])('of %j', async (environment, expected) => {
    expect(await ruby(HOSTS, environment)).toEqual(expected);
  });

  it('gives every host a name and an address of its own, also at its largest', async () => {
    const hosts = await ruby<string[]>(HOSTS, { MANAGERS: '89', WORKERS: '150' });
    expect(hosts).toHaveLength(239);
    expect(new Set(hosts.map((host) => host.split(' ')[0])).size).toBe(239);
    expect(new Set(hosts.map((host) => host.split(' ')[2])).size).toBe(239);
  });

  it.each([
    [{ MANAGERS: '0' }, 'MANAGERS must be a number from 1 to 89, not "0"'],
    [{ WORKERS: 'two' }, 'WORKERS must be a number from 0 to 150, not "two"'],
    [{ SUBNET: '10.9.8.0/24' }, 'SUBNET must be the first three bytes'],
  ])('refuses %j', async (environment, message) => {
    await expect(ruby(HOSTS, environment)).rejects.toThrow(message);
  });
});

/** Machines that answer like ours and note what they are told. */
const MACHINES = `
  said = []
  machine = lambda do |name, state|
    Object.new.tap do |m|
      m.define_singleton_method(:provider_name) { :libvirt }
      m.define_singleton_method(:communicate) { m }
      m.define_singleton_method(:sudo) do |command, &out|
        said << "#{name}: #{command}" unless command.include?('info')
        out.call(:stdout, "TOKEN\\n") if command.include?('join-token')
        out.call(:stdout, JSON.generate({ state: state })) if command.include?('info')
        out.call(:stderr, 'noise')
      end
    end
  end
  environment = Object.new
  environment.define_singleton_method(:machine) { |name, _| machine.call(name, 'active') }
  SwarmdCluster.hosts.each { |host| SwarmdCluster.join(environment, machine.call(host.name, ENV['STATE']), host) }
  puts JSON.generate(said)`;

describe('membership', () => {
  it('is made on the first manager and joined by everyone else', async () => {
    const environment = { MANAGERS: '2', WORKERS: '1', STATE: 'inactive' };
    const joining = 'swarmctl swarm join --token TOKEN --advertise-addr';
    expect(await ruby(MACHINES, environment)).toEqual([
      'm1: swarmctl swarm init --advertise-addr 192.168.61.11',
      'm1: swarmctl swarm join-token --quiet manager',
      `m2: ${joining} 192.168.61.12 192.168.61.11:4242`,
      'm1: swarmctl swarm join-token --quiet worker',
      `w1: ${joining} 192.168.61.101 192.168.61.11:4242`,
    ]);
  });

  it('stays as it is for machines that have it', async () => {
    expect(await ruby(MACHINES, { STATE: 'active' })).toEqual([]);
  });
});

describe('the files', () => {
  it.each(readdirSync(FOLDER).filter((file) => file.endsWith('.sh')))(
    '%s is a script that bash can read',
    async (file) => {
      const { stderr } = await run('bash', ['-n', join(FOLDER, file)]);
      expect(stderr).toBe('');
    },
  );

  it(
    'make a Vagrantfile that Vagrant accepts',
    async () => {
      const home = mkdtempSync(join(tmpdir(), 'swarmd-vagrant-'));
      try {
        const { stdout } = await run('vagrant', ['validate', '--ignore-provider'], {
          cwd: FOLDER,
          timeoutMs: VALIDATE_TIMEOUT_MS,
          env: {
            PATH: process.env['PATH'],
            HOME: home,
            VAGRANT_HOME: join(home, 'home'),
            VAGRANT_DOTFILE_PATH: join(home, 'dotfile'),
            VAGRANT_CHECKPOINT_DISABLE: '1',
          },
        });
        expect(stdout).toContain('Vagrantfile validated successfully');
      } finally {
        rmSync(home, { recursive: true, force: true });
      }
    },
    VALIDATE_TIMEOUT_MS,
  );
});
