import { describe, expect, it } from 'vitest';

import { parseMount } from '../src/mount-flag.ts';
import { mountsWith, parseVolumesFrom } from '../src/volumes-from.ts';

describe('--volumes-from', () => {
  const other = (name: string, mounts: readonly string[], readOnly = false) => ({
    name,
    mounts: mounts.map(parseMount),
    readOnly,
  });

  it('names a service and how it may be used', () => {
    expect(parseVolumesFrom('web')).toEqual({ service: 'web', readOnly: false });
    expect(parseVolumesFrom('web:ro')).toEqual({ service: 'web', readOnly: true });
    for (const text of ['', ':ro', 'web:x', 'web:ro:z'])
      expect(() => parseVolumesFrom(text), text).toThrow('expected SERVICE');
  });

  it('takes binds and named volumes; its own targets win, then those of the first service', () => {
    const own = [parseMount('source=mine,target=/b')];
    const first = other('first', [
      'source=data-{{.Task.Slot}},target=/a,volume-subpath=x',
      'type=bind,source=/host,target=/b',
      'type=tmpfs,target=/t',
    ]);
    const second = other('second', ['source=other,target=/a', 'source=more,target=/c,ro'], true);
    const third = other('third', ['source=written,target=/d'], true);
    expect(mountsWith(own, [first, second, third])).toEqual([
      parseMount('source=mine,target=/b'),
      parseMount('source=data-{{.Task.Slot}},target=/a,volume-subpath=x'),
      parseMount('source=more,target=/c,ro'),
      parseMount('source=written,target=/d,ro'),
    ]);
  });

  it('refuses what cannot be shared', () => {
    const nameless = other('db', ['target=/var/lib/db']);
    expect(() => mountsWith([], [nameless])).toThrow('at /var/lib/db of service db has no name');
    expect(() => mountsWith([], [other('web', ['type=tmpfs,target=/t'])])).toThrow(
      'service web has neither',
    );
  });
});
