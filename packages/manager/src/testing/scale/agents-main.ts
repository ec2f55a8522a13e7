/** The process of all simulated agents of the orchestration benchmark. */
import { serveParent } from './parent.ts';
import type { AgentsRequest, ScaleAnswer } from './protocol.ts';
import { ScaleAgents } from './scale-agents.ts';

const agents = new ScaleAgents();

async function answer(request: AgentsRequest): Promise<ScaleAnswer> {
  switch (request.kind) {
    case 'agents':
      await agents.add(request);
      return { kind: 'done' };
    case 'agent-figures':
      return { kind: 'agent-figures', figures: agents.figures() };
    default:
      return { kind: 'failed', error: 'unknown request' };
  }
}

serveParent(
  (request) => answer(request as AgentsRequest),
  () => Promise.resolve(),
);
