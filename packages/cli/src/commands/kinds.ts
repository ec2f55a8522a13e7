/** From what people type to the objects, for each kind of object. */
import { resolve, type Kind } from '@swarmd/client';
import type { Config, Network, Node, Secret, Service } from '@swarmd/model';

import type { Context } from '../context.ts';

export async function serviceKind(context: Context): Promise<Kind<Service>> {
  const { control } = await context.cluster();
  return {
    noun: 'service',
    list: (request, call) => control.listServices(request, call),
    nameOf: (service) => service.spec.name,
  };
}

export async function findService(context: Context, reference: string): Promise<Service> {
  return resolve(await serviceKind(context), reference, context.call);
}

export async function nodeKind(context: Context): Promise<Kind<Node>> {
  const { control } = await context.cluster();
  return {
    noun: 'node',
    list: (request, call) => control.listNodes(request, call),
    nameOf: (node) => node.description?.hostname ?? '',
  };
}

/** A node by name, id or prefix; "self" is this machine. */
export async function findNode(context: Context, reference: string): Promise<Node> {
  const wanted =
    reference === 'self' ? (await context.daemon().local.info({}, context.call)).nodeId : reference;
  return resolve(await nodeKind(context), wanted, context.call);
}

export async function networkKind(context: Context): Promise<Kind<Network>> {
  const { control } = await context.cluster();
  return {
    noun: 'network',
    list: (request, call) => control.listNetworks(request, call),
    nameOf: (network) => network.spec.name,
  };
}

export async function secretKind(context: Context): Promise<Kind<Secret>> {
  const { control } = await context.cluster();
  return {
    noun: 'secret',
    list: (request, call) => control.listSecrets(request, call),
    nameOf: (secret) => secret.spec.name,
  };
}

export async function configKind(context: Context): Promise<Kind<Config>> {
  const { control } = await context.cluster();
  return {
    noun: 'config',
    list: (request, call) => control.listConfigs(request, call),
    nameOf: (config) => config.spec.name,
  };
}
