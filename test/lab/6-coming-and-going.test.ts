/** Machines that leave, come back, freeze; logs that are followed; images by digest. */
import { afterAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  ctl,
  hostOf,
  lab,
  ok,
  okOn,
  remove,
  running,
  sh,
  until,
  untilRunning,
} from './support.ts';

interface NodeRow {
  id: string;
  status: { state: string; address: string };
}

const nodes = async (): Promise<NodeRow[]> =>
  JSON.parse(await ok('node', 'ls', '--format', 'json')) as NodeRow[];

describe('a worker that leaves', () => {
  it('takes everything of the cluster off its machine, and can join again as a new node', async () => {
    const host = lab.host('w2');
    const before = (await nodes()).find((node) => node.status.address === host.place.address);
    expect((await ctl('w2', 'swarm', 'leave')).code).toBe(0);
    const info = JSON.parse(await okOn('w2', 'info', '--format', 'json')) as { state: string };
    expect(info.state).toBe('inactive');
    expect(await sh(host, 'ls /var/lib/swarmd/identity 2>/dev/null | wc -l')).toBe('0');
    expect(await sh(host, 'ip netns list | wc -l')).toBe('0');
    expect(await sh(host, 'nft list tables | wc -l')).toBe('0');
    await until('the node to be down', async () =>
      (await nodes()).find((node) => node.id === before?.id)?.status.state === 'down'
        ? true
        : undefined,
    );
    await ok('node', 'rm', before?.id ?? '');
    await lab.cluster.form();
    const after = (await nodes()).find((node) => node.status.address === host.place.address);
    expect(after?.id).not.toBe(before?.id);
    expect(await nodes()).toHaveLength(lab.nodes.length);
  });
});

describe('a worker that can no longer tell which cluster it is in', () => {
  afterAll(() => remove('orphan'));

  it('says so, ends what it ran when it is made to leave, and can join again', async () => {
    const host = lab.host('w2');
    const flags = ['--name', 'orphan', '--constraint', 'node.hostname==w2'];
    await ok('service', 'create', ...flags, BUSYBOX, 'sleep', '100000');
    const [task] = await untilRunning('orphan', 1);
    const before = (await nodes()).find((node) => node.status.address === host.place.address);
    await host.stopService('swarmd', 'KILL');
    await sh(host, 'echo half > /var/lib/swarmd/identity/node.json');
    await lab.cluster.startDaemon(host);
    const said = await until('w2 to say what is wrong', async () => {
      const info = await okOn('w2', 'info', '--format', 'json');
      const { state, error } = JSON.parse(info) as { state: string; error: string };
      return state === 'error' ? error : undefined;
    });
    expect(said).toContain('node.json');

    const refused = await ctl('w2', 'swarm', 'leave');
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('swarmctl swarm leave --force');
    expect((await ctl('w2', 'swarm', 'leave', '--force')).code).toBe(0);
    const alive = await host.exec(['test', '-d', `/proc/${task?.status.pid}`], { okCodes: [0, 1] });
    expect(alive.code).toBe(1);
    expect(await sh(host, 'ip netns list | wc -l; nft list tables | wc -l')).toBe('0\n0');

    await until('the node to be down', async () =>
      (await nodes()).find(({ id }) => id === before?.id)?.status.state === 'down'
        ? true
        : undefined,
    );
    await ok('node', 'rm', before?.id ?? '');
    await lab.cluster.form();
    expect(await nodes()).toHaveLength(lab.nodes.length);
  });
});

describe('a worker that freezes', () => {
  afterAll(async () => {
    await lab.heal('w1');
    await remove('frozen');
  });

  it('is replaced while frozen, and gives up its tasks when it thaws', async () => {
    const [node] = JSON.parse(await ok('node', 'inspect', 'w1')) as [{ id: string }];
    await ok(
      'service',
      'create',
      '--name',
      'frozen',
      '--constraint',
      `node.role==worker`,
      '--replicas',
      '2',
      BUSYBOX,
      'sleep',
      '100000',
    );
    const [old] = (await untilRunning('frozen', 2)).filter((task) => task.nodeId === node.id);
    if (old === undefined) throw new Error('no task on w1');
    await lab.pause('w1');
    await until('both tasks to run on w2', async () => {
      const found = await running('frozen');
      return found.length === 2 && found.every((task) => task.nodeId !== node.id)
        ? true
        : undefined;
    });
    await lab.heal('w1');
    await until('the old container to be gone', async () => {
      const { code } = await lab
        .host('w1')
        .exec(['test', '-d', `/proc/${old.status.pid}`], { okCodes: [0, 1] });
      return code === 1 ? true : undefined;
    });
    expect(await running('frozen')).toHaveLength(2);
  });
});

describe('logs', () => {
  afterAll(() => remove('ticker'));

  it('are followed over the death of a task, from any manager', async () => {
    const line = 'i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done';
    await ok(
      'service',
      'create',
      '--name',
      'ticker',
      '--restart-delay',
      '0',
      BUSYBOX,
      'sh',
      '-c',
      line,
    );
    const [task] = await untilRunning('ticker', 1);
    if (task === undefined) throw new Error('no task');
    const file = `${lab.host('m3').dir}/follow.txt`;
    await lab
      .host('m3')
      .startService('follow', ['swarmctl', 'service', 'logs', '-f', 'ticker'], file);
    const seen = async (text: string): Promise<true | undefined> =>
      (await sh(lab.host('m3'), `cat ${file}`)).includes(text) ? true : undefined;
    await until('lines of the first task', () => seen(`ticker.1.${task.id.slice(0, 12)}`));
    await (await hostOf(task)).exec(['kill', '-9', String(task.status.pid)]);
    const next = await until('a replacement', async () =>
      (await running('ticker')).find((other) => other.id !== task.id),
    );
    await until('lines of its replacement', () => seen(next.id.slice(0, 12)));
    await lab.host('m3').stopService('follow', 'TERM');
  });
});

describe('an image by digest', () => {
  afterAll(() => remove('pinned'));

  it('runs, and only these bits', async () => {
    const url = `http://${lab.layout.registryEndpoint}/v2/busybox/manifests/1`;
    const accept = 'Accept: application/vnd.oci.image.manifest.v1+json';
    const headers = await sh(lab.host('m1'), `curl -sS -I -H '${accept}' ${url}`);
    const digest = /docker-content-digest: (sha256:[0-9a-f]{64})/i.exec(headers)?.[1] ?? '';
    await ok(
      'service',
      'create',
      '--name',
      'pinned',
      `${lab.layout.registryEndpoint}/busybox@${digest}`,
      'sleep',
      '1000',
    );
    const [task] = await untilRunning('pinned', 1);
    expect(task?.spec.container.image).toContain(digest);
  });
});
