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
  return { noun: 'secret', ...versioned((request, call) => control.listSecrets(request, call)) };
}

export async function configKind(context: Context): Promise<Kind<Config>> {
  const { control } = await context.cluster();
  return { noun: 'config', ...versioned((request, call) => control.listConfigs(request, call)) };
}

/** The newest version has the name; a former one is "NAME@2". */
function versioned<T extends Secret | Config>(list: Kind<T>['list']): Omit<Kind<T>, 'noun'> {
  return {
    list: async ({ filter }, call) => {
      const names = filter.names?.flatMap((name) => [name, name.replace(/@\d+$/, '')]);
      return list({ filter: { ...filter, ...(names === undefined ? {} : { names }) } }, call);
    },
    isNamed: ({ spec, number }, reference) => reference === `${spec.name}@${number}`,
    nameOf: ({ spec, number, replacedAt }) =>
      replacedAt === undefined ? spec.name : `${spec.name}@${number}`,
  };
}
