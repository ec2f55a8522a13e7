/**
 * Objects of the fields that a message has. Those of the same fields come from one literal, which is compiled
 * when they are first seen: filled in one by one an object takes several times as long to make, and has most
 * of its fields in a second object, which the garbage collector then has to follow, too.
 */
import protobuf from 'protobufjs';

type Fields = Record<string, unknown>;
/** `items`: one for each field of the message; undefined: it has none. */
type Make = (items: readonly unknown[]) => Fields;

/** Sets of fields are numbers: a bit for each field. */
const FIELDS_MAX = 31;
/** What comes from outside may have any set of fields. */
const LITERALS_MAX = 64;

/** @param kind property of that name that all have, in front of their fields. */
export function objectMaker(names: readonly string[], kind: string | undefined): Make {
  if (names.length > FIELDS_MAX) return (items) => fillIn(names, kind, items);
  const literals = new Map<number, Make>();
  return (items) => {
    let present = 0;
    for (let at = 0; at < items.length; at += 1) if (items[at] !== undefined) present |= 1 << at;
    let make = literals.get(present);
    if (make === undefined) {
      if (literals.size === LITERALS_MAX) return fillIn(names, kind, items);
      literals.set(present, (make = compile(names, kind, present)));
    }
    return make(items);
  };
}

function compile(names: readonly string[], kind: string | undefined, present: number): Make {
  const properties = names.flatMap((name, at) =>
    (present & (1 << at)) === 0 ? [] : [`${JSON.stringify(name)}: items[${at}]`],
  );
  if (kind !== undefined) properties.unshift(`kind: ${JSON.stringify(kind)}`);
  const literal = `return { ${properties.join(', ')} };`;
  return protobuf.util.codegen(['items'], 'make')(literal)() as Make;
}

function fillIn(
  names: readonly string[],
  kind: string | undefined,
  items: readonly unknown[],
): Fields {
  const value: Fields = kind === undefined ? {} : { kind };
  for (const [at, name] of names.entries()) {
    if (items[at] !== undefined) value[name] = items[at];
  }
  return value;
}
