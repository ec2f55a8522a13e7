/** Conditions on a whole service that go beyond what a method says of itself. */
import type { Call } from '../contract/call.ts';

type Method = (request: never, call: Call) => unknown;

/** The same service; `check` throws before a method does anything for whom it shall not serve. */
export function guarded<Service extends object>(
  service: Service,
  check: (call: Call) => void,
): Service {
  const methods = Object.entries(service as Record<string, Method>).map(([name, method]) => [
    name,
    (request: never, call: Call) => {
      check(call);
      return method(request, call);
    },
  ]);
  return Object.fromEntries(methods) as Service;
}
