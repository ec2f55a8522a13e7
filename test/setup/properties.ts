/**
 * Properties draw their cases from one seed, so that the same sources give the same verdict everywhere.
 * `SWARMD_PROPERTY_SEED=random` (or a number) explores: do that by hand, and pin what it finds as a case.
 */
import { configureGlobal } from 'fast-check';

const wanted = process.env['SWARMD_PROPERTY_SEED'] ?? '1';
if (wanted !== 'random') configureGlobal({ seed: Number(wanted) });
