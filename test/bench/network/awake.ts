/**
 * Keeps the processors from falling asleep: a machine that is quiet takes tens of microseconds to wake one for
 * each packet, which is more than most of what is measured here. What spins has the idle class: it runs
 * only when nothing else wants to, and gives way at once.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';

const SPIN = 'setpriv --pdeathsig KILL chrt --idle 0 perl -e';

export async function whileAwake<T>(work: () => Promise<T>): Promise<T> {
  const [program = '', ...args] = SPIN.split(' ');
  const spinning = Array.from({ length: availableParallelism() }, () => {
    const one = spawn(program, [...args, '1 while 1']);
    return { one, gone: once(one, 'exit') };
  });
  try {
    return await work();
  } finally {
    for (const { one } of spinning) one.kill('SIGKILL');
    await Promise.all(spinning.map(({ gone }) => gone));
  }
}
