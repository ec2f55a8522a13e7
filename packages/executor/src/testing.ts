export {
  createMemoryExecutor,
  MemoryExecutor,
  type MemoryOperation,
} from './memory/memory-executor.ts';
export {
  MemoryMachine,
  type MemoryMachineOptions,
  type MemoryProcess,
} from './memory/memory-machine.ts';
