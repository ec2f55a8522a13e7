/** The map in ARCHITECTURE.md, the manifests and the imports must say the same. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Row {
  readonly layer: number;
  readonly name: string;
  readonly mayImport: readonly string[];
}

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(`${ROOT}/${file}`));
const read = (file: string): string => readFileSync(`${ROOT}/${file}`, 'utf8');
const packages = [
  ...new Set(files.flatMap((file) => /^packages\/([^/]+)\//.exec(file)?.[1] ?? [])),
];

function mapRows(): Row[] {
  const rows: Row[] = [];
  for (const line of read('ARCHITECTURE.md').split('\n')) {
    const match = /^\| L(\d) +\| (\w+) +\|.*\| ([^|]+) \|$/.exec(line);
    if (match === null) continue;
    const [, layer, name = '', imports = ''] = match;
    rows.push({ layer: Number(layer), name, mayImport: expand(imports.trim()) });
  }
  return rows;
}

function expand(imports: string): string[] {
  if (imports === '-') return [];
  if (imports === 'all of L0 to L3')
    return packages.filter((name) => !['cli', 'lab', 'daemon'].includes(name));
  return imports.split(' ');
}

const rows = mapRows();
const rowOf = new Map(rows.map((row) => [row.name, row]));

/** Packages that a source file imports, by name. */
function importsOf(file: string): string[] {
  return [...read(file).matchAll(/from '@swarmd\/([a-z]+)(?:\/[a-z]+)?'/g)].map(
    (match) => match[1] ?? '',
  );
}

describe('the map of packages', () => {
  it('lists every package, and only packages that exist', () => {
    expect(rows.map((row) => row.name).toSorted()).toEqual(packages.toSorted());
  });

  it.each(rows)('$name imports nothing from above', (row) => {
    for (const target of row.mayImport)
      expect(rowOf.get(target)?.layer, target).toBeLessThanOrEqual(row.layer);
  });

  it.each(packages)('%s: manifest and map agree', (name) => {
    const manifest = JSON.parse(read(`packages/${name}/package.json`)) as {
      dependencies?: Record<string, string>;
    };
    const declared = Object.keys(manifest.dependencies ?? {}).flatMap(
      (key) => /^@swarmd\/(.*)$/.exec(key)?.[1] ?? [],
    );
    for (const target of declared)
      expect(rowOf.get(name)?.mayImport ?? [], `${name} -> ${target}`).toContain(target);
  });

  it.each(packages)('%s: every import is declared', (name) => {
    const manifest = JSON.parse(read(`packages/${name}/package.json`)) as {
      dependencies?: Record<string, string>;
      devDependencies?: Record<string, string>;
    };
    const sources = files.filter(
      (file) => file.startsWith(`packages/${name}/src/`) && file.endsWith('.ts'),
    );
    for (const file of sources) {
      for (const target of importsOf(file)) {
        expect(
          Object.keys(manifest.dependencies ?? {}),
          `${file} imports @swarmd/${target}`,
        ).toContain(`@swarmd/${target}`);
      }
    }
  });
});

describe('pure rooms', () => {
  const pure = files.filter(
    (file) =>
      /^packages\/(planner\/src|model\/src|raft\/src\/core|network\/src\/desired)\//.test(file) &&
      file.endsWith('.ts'),
  );

  it('exist', () => {
    expect(pure.length).toBeGreaterThan(20);
  });

  it.each(pure)('%s does no I/O, waits for nothing and reads no clock', (file) => {
    const code = read(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    expect(code).not.toMatch(/from 'node:(?!net')/);
    expect(code).not.toMatch(/\basync\b|\bawait\b|\bPromise\b|setTimeout|Date\.now|Math\.random/);
  });
});

describe('the whole tree', () => {
  const texts = files.filter(
    (file) => /\.(ts|md|sh|json|proto|txt)$/.test(file) && file !== 'package-lock.json',
  );

  it.each(packages)('%s has a README of at most 40 lines', (name) => {
    expect(read(`packages/${name}/README.md`).trimEnd().split('\n').length).toBeLessThanOrEqual(40);
  });

  it('holds no loose ends', () => {
    const loose = texts.filter(
      (file) => /\b(TODO|FIXME|XXX)\b/.test(read(file)) && !file.startsWith('test/tidy/'),
    );
    expect(loose).toEqual([]);
  });

  it('says why each dependency is there', () => {
    const reasons = read('docs/dependencies.md');
    const manifests = files.filter((file) => /^(packages\/[^/]+\/)?package\.json$/.test(file));
    const names = manifests.flatMap((file) => {
      const manifest = JSON.parse(read(file)) as Record<string, Record<string, string> | undefined>;
      return Object.keys({ ...manifest['dependencies'], ...manifest['devDependencies'] });
    });
    for (const name of names.filter((dependency) => !dependency.startsWith('@swarmd/'))) {
      expect(reasons, name).toContain(`\`${name}\``);
    }
  });

  it('numbers its decisions one after the other, each once', () => {
    const records = files.filter((file) => file.startsWith('docs/adr/')).toSorted();
    const numbers = records.map((file) => file.slice('docs/adr/'.length).slice(0, 4));
    expect(numbers).toEqual(records.map((_, at) => String(at + 1).padStart(4, '0')));
    for (const [at, file] of records.entries()) {
      expect(read(file).split('\n', 1)[0], file).toMatch(new RegExp(`^# ${numbers[at] ?? ''} `));
    }
  });

  it('runs on the Node it is written for', () => {
    expect(process.version).toMatch(/^v24\./);
  });
});
