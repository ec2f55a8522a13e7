/** How many lines of a file nobody will get. */
import { LogScanner, type LogPosition } from '../log-scanner.ts';
import type { LogFile } from '../log-files.ts';
import { ConmonRows } from '../log-rows.ts';
import { OpenLog } from '../open-log.ts';

/** Whole lines of one file of conmon's, behind a place in it if one is given. */
export async function countLines(file: LogFile, from: LogPosition | undefined): Promise<number> {
  const scanner = new LogScanner(new ConmonRows(), { skip: from?.skip ?? 0 });
  await using log = await OpenLog.openFile(file, from?.offset ?? 0);
  let lines = 0;
  for (let bytes = await log?.read(); bytes !== undefined; bytes = await log?.read()) {
    lines += scanner.scan(bytes).lengths.length;
  }
  return lines;
}
