/** swarmctl registry ...: who the user is to registries. */
import { SwarmError } from '@swarmd/base';
import { formatRegistryAuth, registryHost } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { readLine } from '../read-line.ts';
import { nodeOf, NODE_FLAG } from './on-node.ts';

interface LoginFlags {
  username?: string;
  passwordStdin: boolean;
  node?: string;
  /** False after --no-check. */
  check: boolean;
}

export function addRegistryCommands(program: Command, context: Context): void {
  const group = program.command('registry').description('credentials for registries of images');

  group
    .command('login')
    .description(
      'keep credentials for a registry in your own file, after asking it whether they are right',
    )
    .argument('[host]', 'host[:port]', 'docker.io')
    .option('-u, --username <name>', 'user name')
    .option('--password-stdin', 'read the password from standard input', false)
    .option(NODE_FLAG, 'host name, id or id prefix of the node that asks (default: this one)')
    .option('--no-check', 'do not ask the registry')
    .action(async (name: string, flags: LoginFlags) => login(context, registryHost(name), flags));

  group
    .command('logout')
    .description('forget the credentials for a registry')
    .argument('[host]', 'host[:port]', 'docker.io')
    .action((name: string) => {
      const host = registryHost(name);
      if (!context.credentials.erase(host)) {
        throw new SwarmError('not-found', `there are no credentials for ${host} to forget`);
      }
      context.terminal.out(`${host}\n`);
    });
}

async function login(context: Context, host: string, flags: LoginFlags): Promise<void> {
  const { terminal } = context;
  const username =
    flags.username ?? (await readLine(terminal, { question: 'Username: ', isSecret: false }));
  const password = flags.passwordStdin
    ? new TextDecoder().decode(terminal.readFile('-')).replace(/\r?\n$/, '')
    : await readLine(terminal, { question: 'Password: ', isSecret: true });
  if (username === '' || password === '') {
    throw new SwarmError('invalid-argument', 'a user name and a password are needed');
  }
  const credentials = { username, password, identityToken: '' };
  if (flags.check) {
    const nodeId = await nodeOf(context, flags.node);
    const { engine } = await context.cluster();
    const registryAuth = formatRegistryAuth({ [host]: credentials });
    await engine.checkRegistryAuth({ nodeId, registry: host, registryAuth }, context.call);
  }
  terminal.out(`${host}: kept in ${context.credentials.store(host, credentials)}\n`);
}
