import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { shortText } from '../src/codec/recent-texts.ts';

it('reads every text as it is, whatever was read before', () => {
  const text = fc.oneof(
    fc.constantFrom('', 'running', 'started', 'n17', 'é', 'Ã©', '\0', '€uro', '😀'),
    fc.string({ unit: 'binary', maxLength: 4 }),
  );
  fc.assert(
    fc.property(fc.array(text, { maxLength: 40 }), fc.nat(3), (texts, before) => {
      for (const one of texts) {
        const bytes = Buffer.from(`${'x'.repeat(before)}${one}y`);
        const read = shortText(bytes, before, bytes.length - 1);
        expect(read).toBe(Buffer.from(one).toString());
      }
    }),
  );
});

it('takes no bytes for characters, where two texts have the same place', () => {
  const high = Array.from({ length: 128 }, (_, at) => String.fromCharCode(128 + at));
  for (const first of high) {
    for (const second of high) {
      const text = first + second;
      const bytes = Buffer.from(text, 'latin1');
      const encoded = Buffer.from(text);
      expect(shortText(encoded, 0, encoded.length)).toBe(text);
      expect(shortText(bytes, 0, bytes.length)).toBe(bytes.toString());
    }
  }
});
