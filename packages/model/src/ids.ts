/** The registry of id kinds. An id of one kind cannot be passed where another is wanted. */

declare const kind: unique symbol;
type Id<Kind extends string> = string & { readonly [kind]: Kind };

export type ClusterId = Id<'cluster'>;
export type ConfigId = Id<'config'>;
export type NetworkId = Id<'network'>;
export type NodeId = Id<'node'>;
export type SecretId = Id<'secret'>;
export type ServiceId = Id<'service'>;
export type TaskId = Id<'task'>;

/** Every id kind by its table's name. */
export interface IdOf {
  cluster: ClusterId;
  config: ConfigId;
  network: NetworkId;
  node: NodeId;
  secret: SecretId;
  service: ServiceId;
  task: TaskId;
}

/** Brands a string that is known to be an id of this kind (fresh, stored or received). */
export function asId<K extends keyof IdOf>(_kind: K, value: string): IdOf[K] {
  return value as IdOf[K];
}
