/**
 * The network plane of a host: keeps the newest state and brings the kernel to it, one run at a time.
 * What should be there is decided in `desired/`; containers' namespaces are the matter of
 * `containers.ts`.
 */
import { join } from 'node:path';

import { abortReason, errorMessage, SwarmError, withDeadline, type Timer } from '@swarmd/base';
import {
  encryptedVxlanPort,
  isEncrypted,
  tunnelAddress,
  tunnelsByIpv6,
  type Network,
  type NetworkId,
  type NetworkState,
  type NodeEncryption,
  type Task,
  type TaskId,
  type NetworkFinding,
} from '@swarmd/model';

import { clearHost, prepareHost } from './apply/base.ts';
import { checkHost } from './check.ts';
import { Coalescer } from './apply/coalescer.ts';
import { passForeignFirewall } from './apply/firewall.ts';
import { forwardIpv6 } from './apply/forwarding.ts';
import { runSteps } from './apply/kernel.ts';
import { Notes } from './apply/notes.ts';
import { mtuOfAddress, observe } from './apply/observe.ts';
import { lacksForEncryption } from './apply/probe-encryption.ts';
import { RulesWatch } from './apply/rules-watch.ts';
import { Containers, type PlacedTask } from './containers.ts';
import { firstHost } from './desired/addresses.ts';
import { GATEWAY_LINK_PREFIX, INGRESS_LINK } from './desired/names.ts';
import { attachmentOf, isInternal, usesHost, type AttachmentNote } from './desired/attachment.ts';
import { diffObjects } from './desired/diff-objects.ts';
import { hasEncrypted, type Sealing } from './desired/encryption.ts';
import type { KernelObjects } from './desired/kernel-object.ts';
import { desiredObjects, type OverlayLink, type Underlay } from './desired/objects.ts';
import { Scope } from './desired/scope.ts';
import { indexState, usesIpv6, type StateIndex } from './desired/state-index.ts';
import { HostFirewall } from './host-firewall.ts';
import { LostNodes } from './lost-nodes.ts';
import {
  APPLY_TIMEOUT_MS,
  DEFAULT_UNDERLAY_MTU,
  FORGETS_AT_ONCE,
  GUARD_PERIOD_MS,
  NAMESPACES_AT_ONCE,
} from './limits.ts';
import { NameService } from './name-service.ts';
import { forEachTask } from './namespaces.ts';
import { Seal } from './seal.ts';
import type {
  CheckOptions,
  NetworkAttachment,
  NetworkPlane,
  NetworkPlaneOptions,
} from './types.ts';

/** Re-adopts the namespaces of an earlier life; the kernel is not touched before the first state. */
export async function createNetworkPlane(options: NetworkPlaneOptions): Promise<NetworkPlane> {
  const lacks = options.encryption?.lacks ?? (await lacksForEncryption());
  const seal = await Seal.open(options.runDir, lacks);
  const plane = new HostPlane(options, { notes: await Notes.open(options.runDir), seal });
  await plane.restore();
  return plane;
}

class HostPlane implements NetworkPlane {
  readonly #options: NetworkPlaneOptions;
  readonly #folder: string;
  readonly #containers: Containers;
  readonly #firewall: HostFirewall;
  readonly #names: NameService;
  readonly #lostNodes: LostNodes;
  readonly #seal: Seal;
  readonly #reconciler = new Coalescer(() => this.#reconcile());
  readonly #forgetter = new Coalescer(() =>
    forEachTask(this.#containers.tasks, FORGETS_AT_ONCE, (task) => task.forget()),
  );
  /** The newest state we were given. */
  #wanted: StateIndex | undefined;
  /** Networks whose devices exist and are not about to be removed; undefined before the first state. */
  #usable: ReadonlySet<NetworkId> | undefined;
  /** What the kernel has of ours; undefined when that must be looked up. */
  #objects: KernelObjects | undefined;
  #underlay: Underlay | undefined;
  #prepared = false;
  /** Whether our part of the mesh has both families: from its first use on, until the node leaves. */
  #ipv6 = false;
  #closed = false;
  #guardTimer: Timer | undefined;
  readonly #rulesWatch: RulesWatch;
  #guarding: Promise<void> = Promise.resolve();
  /** Of other firewalls, that would need rules of ours and cannot get them. */
  #refusedChains = '';

  constructor(options: NetworkPlaneOptions, { notes, seal }: { notes: Notes; seal: Seal }) {
    this.#options = options;
    this.#seal = seal;
    this.#folder = join(options.runDir, 'network');
    const { clock, logger, controlPorts } = options;
    const wanted = (): StateIndex | undefined => this.#wanted;
    const tasks = (): readonly AttachmentNote[] => this.#containers.notes;
    const ipv6 = (): boolean => this.#ipv6;
    const canEncrypt = seal.lacks === '';
    this.#firewall = new HostFirewall({ wanted, tasks, controlPorts, ipv6, canEncrypt });
    this.#rulesWatch = new RulesWatch({ clock, logger, onChange: () => this.#guardNow() });
    this.#names = new NameService({ ...options, wanted, tasks });
    this.#lostNodes = new LostNodes({ tasks: () => this.#containers.tasks, logger });
    this.#containers = new Containers({
      notes,
      clock,
      logger,
      wanted,
      plan: (task) => this.#plan(task),
      onChange: () => this.#names.forgetViews(),
      onMade: (note) => this.#firewallFor(note),
    });
  }

  restore(): Promise<void> {
    return this.#containers.restore();
  }

  async apply(state: NetworkState, signal: AbortSignal): Promise<void> {
    this.#assertOpen();
    this.#wanted = indexState(state, this.#wanted);
    const what = 'programming the network of this node';
    const { clock } = this.#options;
    await withDeadline({ clock, timeoutMs: APPLY_TIMEOUT_MS, what, signal }, () =>
      this.#reconciler.request(),
    );
  }

  async attach(task: Task, signal: AbortSignal): Promise<NetworkAttachment> {
    this.#assertOpen();
    this.#refuseUnsealed(task);
    return await this.#containers.attach(task, signal);
  }

  async detach(taskId: TaskId, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw abortReason(signal);
    const note = await this.#containers.detach(taskId);
    if (note === undefined || this.#closed || this.#wanted === undefined) return;
    await this.#firewallFor(note);
    const known = this.#wanted.networks;
    const wasLast = note.networks.some(({ networkId }) => !known.has(networkId));
    if (wasLast) await this.#reconciler.request();
  }

  get encryption(): NodeEncryption {
    return this.#seal.declared;
  }

  onEncryptionChange(listener: () => void): Disposable {
    return this.#seal.onChange(listener);
  }

  attached(signal: AbortSignal): Promise<readonly TaskId[]> {
    if (signal.aborted) return Promise.reject(abortReason(signal));
    return Promise.resolve(this.#containers.notes.map(({ taskId }) => taskId));
  }

  async check(options: CheckOptions): Promise<readonly NetworkFinding[]> {
    this.#assertOpen();
    const findings = await this.#check(options);
    if (!options.repair || findings.every(({ details }) => details.length === 0)) return findings;
    this.#objects = undefined;
    this.#firewall.distrust();
    for (const task of this.#containers.tasks) task.distrust();
    await this.#reconciler.request();
    return this.#check(options);
  }

  async #check({ scope, signal }: CheckOptions): Promise<readonly NetworkFinding[]> {
    await this.#reconciler.idle();
    const index = this.#wanted;
    if (index === undefined) {
      const details = ['they have not told this node its network yet'];
      return [{ subject: 'managers', details, wanted: [] }];
    }
    const underlay = await this.#underlayOf(index);
    const lingering = this.#lingering(index);
    const sealing = this.#wantsSeal(index, lingering) ? this.#seal.sealing : undefined;
    return checkHost({
      index,
      objects: desiredObjects({
        state: index.state,
        underlay,
        lingering,
        ipv6: this.#ipv6,
        sealing,
      }),
      firewall: this.#firewall.programsFor(index),
      tasks: this.#containers.tasks,
      encryption: this.#seal.declared,
      scope: scope === undefined ? undefined : new Scope(index, scope),
      signal,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#guardTimer?.cancel();
    await this.#rulesWatch[Symbol.asyncDispose]();
    await this.#guarding;
    await this.#containers.close();
    await this.#reconciler.idle();
    await this.#forgetter.idle();
    await this.#lostNodes.close();
    await this.#names[Symbol.asyncDispose]();
  }

  async destroy(): Promise<void> {
    await this[Symbol.asyncDispose]();
    await clearHost(this.#folder, this.#options.logger);
  }

  /** Managers send no such task here; it would be cut off from all others. */
  #refuseUnsealed({ networks }: Task): void {
    if (this.#seal.lacks === '') return;
    const known = this.#wanted?.networks;
    const one = networks.map(({ networkId }) => known?.get(networkId)).find(isSealedNetwork);
    if (one === undefined) return;
    throw new SwarmError(
      'failed-precondition',
      `this node cannot take part in the encrypted network ${one.spec.name}: ${this.#seal.lacks}`,
    );
  }

  #assertOpen(): void {
    if (this.#closed) throw new SwarmError('unavailable', 'the network plane was stopped');
  }

  #plan(task: PlacedTask): AttachmentNote | 'host' | undefined {
    const usable = this.#usable;
    if (usable === undefined || this.#wanted === undefined || this.#underlay === undefined) {
      return undefined;
    }
    const allThere = task.networks.every(({ networkId }) => usable.has(networkId));
    if (allThere && usesHost(task, this.#wanted)) return 'host';
    const host = { underlay: this.#underlay, ipv6: this.#ipv6 };
    return allThere ? attachmentOf(task, this.#wanted, host) : undefined;
  }

  /** The host's table names containers only if they have no way out. */
  async #firewallFor(note: AttachmentNote): Promise<void> {
    if (isInternal(note)) await this.#firewall.sync();
  }

  async #reconcile(): Promise<void> {
    try {
      await this.#program();
    } catch (error) {
      // The kernel is not what we thought: look, and repair only what differs.
      this.#options.logger.warn({ error: errorMessage(error) }, 'programming the network again');
      this.#objects = undefined;
      this.#prepared = false;
      this.#firewall.distrust();
      await this.#program();
    }
  }

  /** Ways before those who use them: devices and entries, then what balances over them. */
  async #program(): Promise<void> {
    const index = this.#wanted;
    if (index === undefined) return;
    if (!this.#prepared) await prepareHost(this.#folder);
    if (!this.#prepared || !this.#ipv6) {
      this.#ipv6 = await forwardIpv6(this.#folder, usesIpv6(index));
    }
    this.#prepared = true;
    await this.#programObjects(index);
    await Promise.all([
      this.#firewall.sync(),
      forEachTask(this.#containers.tasks, NAMESPACES_AT_ONCE, (task) => task.sync()),
    ]);
    this.#forgetConnections();
    this.#lostNodes.follow(index);
    await this.#names.update(firstHost(index.state.self.gatewaySubnet));
    if (this.#guardTimer === undefined) {
      this.#guardNow();
      await this.#guarding;
    }
    this.#usable = new Set(index.networks.keys());
    this.#containers.wake();
  }

  async #programObjects(index: StateIndex): Promise<void> {
    const underlay = await this.#underlayOf(index);
    const current = this.#objects ?? (await observe());
    // Decided in one go: a container that comes from now on finds a network that goes unusable.
    const lingering = this.#lingering(index);
    const desired = (sealing: Sealing | undefined): KernelObjects =>
      desiredObjects({ state: index.state, underlay, lingering, ipv6: this.#ipv6, sealing });
    const isSealed = this.#wantsSeal(index, lingering);
    const own = tunnelAddress(index.state.self);
    const wanted = await this.#seal.choose({ wanted: isSealed, own, current, desired });
    this.#usable &&= new Set([...this.#usable].filter((id) => index.networks.has(id)));
    this.#objects = undefined;
    await runSteps(diffObjects(current, wanted));
    this.#objects = wanted;
    const newestKey = index.state.encryption?.keys.at(-1)?.id ?? 0;
    await this.#seal.programmed({ wanted: isSealed, newestKey });
  }

  #wantsSeal({ state }: StateIndex, lingering: readonly OverlayLink[]): boolean {
    // Managers were told that it cannot (agent, describeNode).
    if (tunnelsByIpv6(state.self)) return false;
    return hasEncrypted(state) || lingering.some(({ encrypted }) => encrypted === true);
  }

  /** Networks of local containers that the state does not name any more. */
  #lingering(index: StateIndex): OverlayLink[] {
    const networks = this.#containers.notes
      .flatMap((note) => note.networks)
      .filter(({ networkId }) => !index.networks.has(networkId));
    return [...new Map(networks.map((network) => [network.vni, network])).values()];
  }

  async #underlayOf({ state }: StateIndex): Promise<Underlay> {
    const address = tunnelAddress(state.self);
    if (this.#underlay?.address !== address) {
      const mtu =
        this.#options.underlay?.mtu ?? (await mtuOfAddress(address)) ?? DEFAULT_UNDERLAY_MTU;
      this.#underlay = { address, mtu };
    }
    return this.#underlay;
  }

  /** Behind everything else: what was programmed is right already, this only speeds up goodbyes. */
  #forgetConnections(): void {
    this.#forgetter.request().catch((error: unknown) => {
      this.#options.logger.warn({ error: errorMessage(error) }, 'forgetting connections failed');
    });
  }

  #guardNow(): void {
    this.#guarding = this.#guarding.then(() => this.#guard());
  }

  /** Foreign firewalls come, go and flush: looks after our rules when told so, and from time to time. */
  async #guard(): Promise<void> {
    this.#guardTimer?.cancel();
    const index = this.#wanted;
    if (this.#closed || index === undefined) return;
    this.#rulesWatch.start();
    const gateway = firstHost(index.state.self.gatewaySubnet);
    try {
      const { vxlanPort } = index.state;
      const sealedPort = this.#seal.lacks === '' ? encryptedVxlanPort(vxlanPort) : undefined;
      const refused = await passForeignFirewall({
        gateway,
        vxlanPort,
        sealedPort,
        ipv6: this.#ipv6,
        tunnelsByIpv6: tunnelsByIpv6(index.state.self),
      });
      this.#tellOfRefused(refused.join('; '));
      await this.#firewall.check();
      await this.#names.update(gateway);
      this.#lostNodes.look();
    } catch (error) {
      const text = 'looking after the firewall failed';
      this.#options.logger.warn({ error: errorMessage(error) }, text);
    }
    if (this.#closed) return;
    this.#guardTimer = this.#options.clock.after(GUARD_PERIOD_MS, () => this.#guardNow(), {
      unref: true,
    });
  }

  /** Once, as long as it is the same. */
  #tellOfRefused(chains: string): void {
    if (chains !== '' && chains !== this.#refusedChains) {
      const links = `${GATEWAY_LINK_PREFIX}+ and ${INGRESS_LINK}`;
      const text = `a firewall drops containers' packets, and cannot be changed: let it pass UDP ${this.#wanted?.state.vxlanPort} and the interfaces ${links}`;
      this.#options.logger.warn({ chains }, text);
    }
    this.#refusedChains = chains;
  }
}

function isSealedNetwork(network: Network | undefined): network is Network {
  return network !== undefined && isEncrypted(network.spec);
}
