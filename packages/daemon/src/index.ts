export { startDaemon } from './daemon.ts';
export { settle, type GivenSettings, type Settings } from './config/settings.ts';
export { createLogger } from './logger.ts';
