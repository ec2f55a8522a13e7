/**
 * Parts that thousands of messages have in common are encoded once: what the outer message holds in
 * their field is bytes already, which are copied.
 */
import type protobuf from 'protobufjs';

const WIRE_TYPE_BYTES = 2;

/** From now on the field of an outgoing message may hold its encoded value instead of the value. */
export function acceptEncoded(type: protobuf.Type, fieldName: string): void {
  const { id } = type.get(fieldName) as protobuf.Field;
  // Before the first use the type's `encode` would replace itself.
  type.setup();
  const encode = type.encode.bind(type);
  type.encode = (message, writer) => {
    const fields = message as Record<string, unknown>;
    const part = fields[fieldName];
    if (!(part instanceof Uint8Array)) return encode(message, writer);
    return encode({ ...fields, [fieldName]: null }, writer)
      .uint32((id << 3) | WIRE_TYPE_BYTES)
      .bytes(part);
  };
}
