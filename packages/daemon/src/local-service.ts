/** swarm.v1.Local: this machine's daemon, for whoever may open its socket. */
import type { Local } from '@swarmd/api';

import type { NodeDaemon } from './node-daemon.ts';

export function localService(daemon: NodeDaemon): Local {
  return {
    info: () => Promise.resolve(daemon.info()),
    init: (request, call) => daemon.init(request, call.signal),
    join: (request, call) => daemon.join(request, call.signal),
    leave: (request, call) => daemon.leave(request, call.signal),
    checkNetwork: ({ repair }, { signal }) => daemon.checkNetwork({ repair, signal }),
  };
}
