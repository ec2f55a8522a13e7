/** For simulated agents that have no connection of their own: messages of sessions as bytes. */
import type { AgentMessage, ManagerMessage } from './contract/node-side.ts';
import { AssertionError } from '@swarmd/base';

import type { MessageCodec } from './codec/message.ts';
import { bind } from './service/definition.ts';
import { dispatcherService } from './service/services.ts';

export interface SessionCodecs {
  readonly fromAgent: MessageCodec<AgentMessage>;
  readonly fromManager: MessageCodec<ManagerMessage>;
}

/** The very bytes that a session's stream would carry. */
export function sessionCodecs(): SessionCodecs {
  const [method] = bind(dispatcherService);
  if (method === undefined) throw new AssertionError('a dispatcher has sessions');
  return {
    fromAgent: method.request as MessageCodec<AgentMessage>,
    fromManager: method.response as MessageCodec<ManagerMessage>,
  };
}
