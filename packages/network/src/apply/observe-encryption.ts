/** IPsec states and policies of ours that the kernel has. iproute2 has no JSON for them. */
import {
  espPolicyObject,
  espStateObject,
  guardObjects,
  type KernelObject,
} from '../desired/kernel-object.ts';
import { ESP_GUARD_PRIORITY, ESP_PRIORITY, ESP_REQUEST } from '../desired/names.ts';
import { list } from './listing.ts';

/** Nothing on a kernel without IPsec. */
export async function observeEncryption(): Promise<KernelObject[]> {
  const [states, policies] = await Promise.all([listXfrm('state'), listXfrm('policy')]);
  return [...statesOf(states), ...policiesOf(policies)];
}

async function listXfrm(what: 'state' | 'policy'): Promise<string> {
  const { code, stdout, stderr } = await list('ip', ['xfrm', what, 'list']);
  if (code === 0 || /not supported/i.test(stderr)) return stdout;
  throw new Error(`ip xfrm ${what} list: ${stderr.trim()}`);
}

/** One text an entry: the first line begins at the margin, the others do not. */
function entries(text: string): string[] {
  return text.split(/\n(?=\S)/).filter((entry) => entry.trim() !== '');
}

export function statesOf(text: string): KernelObject[] {
  return entries(text).flatMap((entry) => {
    const request = /reqid (\d+)/.exec(entry)?.[1];
    if (Number(request) !== ESP_REQUEST) return [];
    const [, source = '', destination = ''] = /^src (\S+) dst (\S+)/.exec(entry) ?? [];
    const spi = /proto esp spi (0x[0-9a-f]+)/.exec(entry)?.[1] ?? '';
    const key = /aead rfc4106\(gcm\(aes\)\) (0x[0-9a-f]+) 128/.exec(entry)?.[1];
    const selector = /sel src (\S+)\/32 dst (\S+)\/32 proto udp dport (\d+)/.exec(entry);
    const object = espStateObject({
      source,
      destination,
      spi,
      key: key ?? '',
      port: Number(selector?.[3] ?? 0),
    });
    const good =
      key !== undefined &&
      /mode transport/.test(entry) &&
      /flag [^\n]*esn/.test(entry) &&
      selector?.[1] === source &&
      selector[2] === destination;
    return [good ? object : { ...object, put: [] }];
  });
}

export function policiesOf(text: string): KernelObject[] {
  return entries(text).flatMap((entry) => {
    const priority = Number(/priority (\d+)/.exec(entry)?.[1] ?? 0);
    const [, source = '', destination = '', dport = '0'] =
      /^src (\S+) dst (\S+) proto udp dport (\d+)/.exec(entry) ?? [];
    const port = Number(dport);
    const request = /reqid (\d+)/.exec(entry)?.[1];
    const ours = Number(request) === ESP_REQUEST;
    const [, direction = ''] = /dir (\S+)/.exec(entry) ?? [];
    if (priority === ESP_GUARD_PRIORITY) {
      const guard = guardObjects(port).find(({ key }) => key === `esp-guard ${direction} ${port}`);
      if (guard === undefined) return [];
      const good = direction === 'in' ? ours : /action block/.test(entry);
      return [good ? guard : { ...guard, put: [] }];
    }
    if (priority !== ESP_PRIORITY || direction !== 'out') return [];
    const spi = /proto esp spi (0x[0-9a-f]+)/.exec(entry)?.[1] ?? '';
    const [from = '', to = ''] = [source, destination].map((one) => one.replace(/\/32$/, ''));
    const policy = espPolicyObject({ source: from, destination: to, spi, port });
    return [ours && spi !== '' ? policy : { ...policy, put: [] }];
  });
}
