/** swarmctl doctor ... */
import { SwarmError } from '@swarmd/base';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { json, parseFormat, type Format } from '../output.ts';

export function addDoctorCommands(program: Command, context: Context): void {
  program
    .command('doctor')
    .description('look for what is wrong on this machine')
    .command('network')
    .description(
      'compare this machine\u2019s network with what it should be, and try ways to other nodes',
    )
    .option('--repair', 'put right what can be, and look again', false)
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (flags: { repair: boolean; format: Format }) => {
      const { local } = context.daemon();
      const findings = await local.checkNetwork({ repair: flags.repair }, context.call);
      if (flags.format === 'json') {
        context.terminal.out(json(findings));
      } else {
        for (const { subject, details } of findings) {
          context.terminal.out(`${details.length === 0 ? 'ok  ' : 'BAD '}  ${subject}\n`);
          for (const detail of details) context.terminal.out(`      ${detail}\n`);
        }
      }
      const bad = findings.filter(({ details }) => details.length > 0).length;
      if (bad === 0) return;
      const advice = flags.repair ? '' : '; --repair puts right what can be';
      throw new SwarmError('internal', `${bad} of ${findings.length} checks failed${advice}`);
    });
}
