/** A cluster as a test container, beside other containers, as a test of an application has them. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import {
  GenericContainer,
  getContainerRuntimeClient,
  Network,
  Wait,
  type StartedNetwork,
  type StartedTestContainer,
} from 'testcontainers'
import { buildImage, buildTar, writeLayout } from '../../deploy/image-builder.ts'
import type { DockerClient } from '../../deploy/docker-engine.ts'
import {
  contextFileText,
  GantryContainer,
  type StartedGantryContainer,
} from '../../deploy/rig/testing/gantry-container.ts'
import { run } from '../../proto/base/command.ts'
import { usesDockerEngine, usesNodeImage } from '../docker-engine.ts'

const BUSYBOX = 'gantry-test-busybox:latest'
const ASK = 'until wget -q -T 2 -O - http://db:8080/; do sleep 0.2; done'

/** An image made of this machine's own busybox. */
async function importBusybox(docker: DockerClient): Promise<void> {
  const tar = await buildTar({
    'bin/busybox': { from: '/bin/busybox', mode: 0o755 },
    'bin/sh': { symlink: 'busybox' },
    'bin/wget': { symlink: 'busybox' },
    tmp: { dir: true, mode: 0o1777 },
  })
  const [repo, tag] = BUSYBOX.split(':') as [string, string]
  const progress = (await docker.importImage(Readable.from([tar]) as never, { repo, tag })) as Readable
  for await (const _ of progress);
}

function pod(name: string, command: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'busybox', command: ['sh', '-c', command] }] },
  }
}

function clusterOn(network: StartedNetwork): GantryContainer {
  return new GantryContainer().withNodes(2).withNetwork(network).withNetworkAliases('cluster').withReuse()
}

describe('GantryContainer', function () {
  this.timeout(180_000)
  usesDockerEngine()
  usesNodeImage()
  let docker: DockerClient
  let network: StartedNetwork | undefined
  let database: StartedTestContainer | undefined
  let cluster: StartedGantryContainer | undefined
  let log = ''

  before(async () => {
    docker = (await getContainerRuntimeClient()).container.dockerode
    await importBusybox(docker)
    network = await new Network().start()
    ;[database, cluster] = await Promise.all([
      new GenericContainer(BUSYBOX)
        .withNetwork(network)
        .withNetworkAliases('db')
        .withCommand([
          'sh',
          '-c',
          'mkdir /www && echo "from the database" > /www/index.html && echo ready && exec busybox httpd -f -p 8080 -h /www',
        ])
        .withWaitStrategy(Wait.forLogMessage('ready'))
        .start(),
      clusterOn(network)
        .withLogConsumer((stream) => stream.on('data', (chunk) => (log += String(chunk))))
        .start(),
    ])
  })

  after(async () => {
    await Promise.all([cluster?.stop(), database?.stop()])
    await network?.stop()
    await docker?.getImage(BUSYBOX).remove()
  })

  it('is a cluster whose nodes are ready, and tells its log', async () => {
    const { stdout } = await cluster!.getRig().gantry(['get', 'nodes', '-o', 'name'])
    assert.deepEqual(
      stdout
        .trim()
        .split('\n')
        .map((name) => name.split('/')[1]),
      ['n1', 'n2'],
    )
    assert.match(log, /^The cluster is up\.$/m)
    assert.match((await cluster!.exec(['gantry', 'get', 'nodes'])).stdout, /^n2 +Ready/m)
  })

  it('is reached by kubectl from here', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-kubeconfig-'))
    try {
      await writeFile(join(folder, 'kubeconfig'), await cluster!.getRig().kubeconfig(), { mode: 0o600 })
      const { stdout } = await run('kubectl', ['get', 'nodes', '-o', 'name'], {
        env: { PATH: process.env.PATH, HOME: folder, KUBECONFIG: join(folder, 'kubeconfig') },
      })
      assert.deepEqual(stdout.trim().split('\n').sort(), ['node/n1', 'node/n2'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('runs pods from images in its registry, which reach other containers by name', async () => {
    const rig = cluster!.getRig()
    await rig.apply([pod('reader', `${ASK}; sleep 600`), pod('short', 'true')])
    await rig.until('pod/reader', 'Running')
    await rig.until('pod/short', '{.status.phase}=Succeeded')
    await rig.eventually(async () => (await rig.gantry(['logs', 'reader'])).stdout === 'from the database\n')
    await rig.delete('pod/reader', { graceSeconds: 0 })
  })

  it('takes images onto its nodes, and into its registry', async () => {
    const rig = cluster!.getRig()
    const folder = await mkdtemp(join(tmpdir(), 'gantry-load-test-'))
    try {
      await writeLayout(
        await buildImage({
          layers: [
            {
              files: {
                'bin/busybox': { from: '/bin/busybox', mode: 0o755 },
                'bin/sh': { symlink: 'busybox' },
                tmp: { dir: true },
              },
            },
          ],
        }),
        folder,
        'x',
      )
      const [loaded] = await rig.load(folder, { name: 'loaded:1' })
      assert.equal(loaded!.reference, 'docker.io/library/loaded:1')
      await rig.push(folder, { name: 'quay.io/team/pushed:1' })
    } finally {
      await rm(folder, { recursive: true })
    }
    const container = (image: string, imagePullPolicy: string): object => ({
      name: 'main',
      image,
      imagePullPolicy,
      command: ['sh', '-c', 'true'],
    })
    const made = (name: string, image: string, policy: string): object => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { restartPolicy: 'Never', containers: [container(image, policy)] },
    })
    await rig.apply([made('loaded', 'loaded:1', 'Never'), made('pushed', 'quay.io/team/pushed:1', 'Always')])
    for (const name of ['loaded', 'pushed']) await rig.until(`pod/${name}`, '{.status.phase}=Succeeded')
    assert.deepEqual(
      (await rig.images()).map(({ image }) => image),
      ['busybox:1.37', 'busybox:latest', 'gantry/hello:1.0', 'quay.io/team/pushed:1'],
    )
    assert.doesNotMatch((await cluster!.exec(['ls', '/var/lib/gantry'])).stdout, /gantry-load/)
  })

  it('is reached by other containers: controller and registry', async () => {
    const ask = (url: string): Promise<{ exitCode: number; stdout: string }> =>
      database!.exec(['wget', '-q', '-T', '5', '-O', '-', url])
    assert.equal((await ask('http://cluster:5000/v2/')).stdout, '{}')
    const inside = await cluster!.exec([
      'sh',
      '-c',
      'cat > /tmp/aliased.yaml <<END\n' +
        (await contextFileText(cluster!.getAliasedContext('cluster'))) +
        'END\ngantry --config /tmp/aliased.yaml get nodes -o name',
    ])
    assert.match(inside.stdout, /n1/)
    assert.match(await contextFileText(cluster!.getContext()), /serverName: gantry-controller/)
  })

  it('has machines that fail on command', async () => {
    const rig = cluster!.getRig()
    assert.equal((await rig.node('n1').run(['hostname'])).stdout.trim(), 'n1')
    const fault = await rig.node('n1').kill()
    assert.equal(await rig.node('n1').state(), 'off')
    assert.deepEqual(
      (await rig.faults()).filter(({ ended }) => ended === undefined).map(({ id }) => id),
      [fault.id],
    )
    await fault.heal()
    assert.equal((await rig.node('n1').run(['hostname'])).stdout.trim(), 'n1')
    await assert.rejects(rig.fault('kill', { target: 'n7' }), {
      name: 'GantryError',
      code: 'InvalidArgument',
      message: /n7/,
    })
  })

  it('is the same cluster for another who describes it so, and a new one after a restart', async () => {
    const other = await clusterOn(network!).start()
    assert.equal(other.getId(), cluster!.getId())
    assert.deepEqual(other.getContext(), cluster!.getContext())
    other.getRig().close()
    const { ca } = cluster!.getContext()
    await cluster!.restart()
    assert.notEqual(cluster!.getContext().ca, ca)
    await cluster!.getRig().until('node/n2', 'Ready')
  })

  it('leaves nothing when it is stopped', async () => {
    const file = await cluster!.getContextFile()
    const volume = (await docker.getContainer(cluster!.getId()).inspect()).Mounts.find(
      ({ Destination }) => Destination === '/var/lib/gantry',
    )!.Name!
    const id = cluster!.getId()
    await cluster!.stop()
    assert.equal(existsSync(dirname(file)), false)
    await assert.rejects(docker.getContainer(id).inspect(), { statusCode: 404 })
    await assert.rejects(docker.getVolume(volume).inspect(), { statusCode: 404 })
  })

  it('says why it does not come up', async () => {
    await assert.rejects(new GantryContainer().withRigFlags('--disk', '1Mi').start(), /did not come up.*64Mi/s)
    assert.throws(() => new GantryContainer().withNodes(0), { code: 'InvalidArgument' })
    assert.throws(() => new GantryContainer().withControllers(2), { code: 'InvalidArgument' })
  })
})
