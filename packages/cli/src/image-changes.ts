/** Instructions of a Dockerfile that need nothing to be run, as an image's configuration. Pure. */
import { SwarmError } from '@swarmd/base';

interface Config {
  Cmd?: string[];
  Entrypoint?: string[];
  Env?: string[];
  Labels?: Record<string, string>;
  StopSignal?: string;
  User?: string;
  WorkingDir?: string;
}

/** @throws SwarmError `invalid-argument` naming the instruction. */
export function changedConfig(instructions: readonly string[]): Config {
  const config: Config = {};
  for (const text of instructions) {
    const [, word = '', value = ''] = /^\s*(\w+)\s+(.+?)\s*$/s.exec(text) ?? [];
    switch (word.toUpperCase()) {
      case 'CMD':
        config.Cmd = program(value);
        break;
      case 'ENTRYPOINT':
        config.Entrypoint = program(value);
        break;
      case 'ENV':
        config.Env = [...(config.Env ?? []), pair(text, value).join('=')];
        break;
      case 'LABEL':
        config.Labels = { ...config.Labels, ...Object.fromEntries([pair(text, value)]) };
        break;
      case 'STOPSIGNAL':
        config.StopSignal = value;
        break;
      case 'USER':
        config.User = value;
        break;
      case 'WORKDIR':
        config.WorkingDir = value;
        break;
      default:
        throw new SwarmError(
          'invalid-argument',
          `--change "${text}": use CMD, ENTRYPOINT, ENV, LABEL, STOPSIGNAL, USER or WORKDIR with a value`,
        );
    }
  }
  return config;
}

/** A JSON list is the program itself; anything else a line for a shell. */
function program(value: string): string[] {
  try {
    const list: unknown = JSON.parse(value);
    if (Array.isArray(list) && list.every((one) => typeof one === 'string')) return list;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return ['/bin/sh', '-c', value];
}

function pair(text: string, value: string): [string, string] {
  const at = value.indexOf('=');
  if (at > 0) return [value.slice(0, at), value.slice(at + 1)];
  throw new SwarmError('invalid-argument', `--change "${text}": write NAME=value`);
}
