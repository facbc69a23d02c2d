/** The docker driver on an engine, and what only it has. */
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ensureNodeImage } from '../../deploy/node-image/node-image.ts'
import { DockerDriver } from '../../deploy/rig/drivers/docker/driver.ts'
import { openEngine, type DockerClient, type Engine } from '../../deploy/docker-engine.ts'
import { REGISTRY_PORT } from '../../deploy/rig/layout.ts'
import { Rig } from '../../deploy/rig/rig.ts'
import { run } from '../../proto/base/command.ts'
import { rigDriverSuite } from '../contract/rig-driver.ts'
import { Bench, beating, rigName, type DriverSubject } from '../contract/rig-driver-bench.ts'
import { usesDockerEngine, usesNodeImage } from '../docker-engine.ts'
import { eventually } from '../eventually.ts'

const ROOT = resolve(import.meta.dirname, '../..')

async function makeSubject(change: Partial<Engine> = {}): Promise<DriverSubject> {
  const engine = { ...(await openEngine()), ...change }
  const driver = new DockerDriver(engine)
  await driver.prepare(() => undefined, new AbortController().signal)
  return {
    driver,
    homes: '/var/lib/gantry/rigs',
    left: (rig) => leftOf(engine.docker, rig),
    cleanUp: async () => undefined,
  }
}

async function leftOf(docker: DockerClient, rig: string): Promise<string[]> {
  const filters = { label: [`dev.gantry.rig=${rig}`] }
  const [containers, { Volumes }, networks] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listVolumes({ filters }),
    docker.listNetworks({ filters }),
  ])
  // A disk's file that is gone is still named by a loop device that is not.
  const loops = (await run('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'])).stdout
    .split('\n')
    .filter((file) => file.includes('gantry-disk') && file.includes('deleted'))
  return [
    ...containers.flatMap(({ Names }) => Names),
    ...(Volumes ?? []).map(({ Name, Labels }) => `volume ${Name} ${JSON.stringify(Labels)}`),
    ...networks.map(({ Name }) => `network ${Name}`),
    ...loops,
  ]
}

describe('on a Docker engine', function () {
  this.timeout(120_000)
  usesDockerEngine()
  usesNodeImage()
  rigDriverSuite('docker', makeSubject)

  describe('machines of containers', () => {
    let subject: DriverSubject
    let bench: Bench

    before(async () => {
      subject = await makeSubject({ isLocal: false })
      bench = new Bench(subject, rigName('c'))
      await bench.createNetwork()
    })

    after(() => bench?.remove())

    it('are reached by published ports, the same after a restart, where their addresses are not', async () => {
      const spec = bench.spec(1, {
        role: 'registry',
        program: {
          name: 'registry',
          command: [
            'sh',
            '-c',
            `mkdir -p /www; echo here > /www/index.html; exec busybox httpd -f -p ${REGISTRY_PORT} -h /www`,
          ],
        },
      })
      const machine = await bench.start(spec)
      const endpoint = await bench.driver.endpoint(bench.record('n1'), REGISTRY_PORT)
      assert.ok(!endpoint.startsWith(machine.address))
      const answers = (): Promise<unknown> =>
        eventually(
          async () =>
            (await (await fetch(`http://${endpoint}/`, { signal: AbortSignal.timeout(2_000) })).text()) === 'here\n',
        )
      await answers()
      await machine.kill()
      await machine.start()
      await answers()
      await assert.rejects(async () => bench.driver.endpoint(bench.record('n1'), 9999), {
        code: 'Unavailable',
        message: /9999/,
      })
    })

    it('say why they do not start', async () => {
      await assert.rejects(bench.start(bench.spec(2, { diskBytes: 4096 })), {
        code: 'Internal',
        message: /n2 did not start.*Not enough space/s,
      })
      assert.deepEqual(
        (await subject.left(bench.rig)).filter((what) => what.includes('n2')),
        [],
      )
    })

    it('are off, and start again, when their init has ended by itself', async () => {
      const machine = await bench.start(bench.spec(3))
      await beating(machine, 1)
      await machine.startProgram(['sh', '-c', 'kill -KILL $(pgrep -x machine-init)'])
      await eventually(async () => (await machine.state()) === 'off')
      await machine.start()
      await beating(machine, 2)
    })

    it('are found without a record, frozen ones too', async () => {
      const lost = new Bench(subject, rigName('e'))
      await lost.createNetwork()
      await (await lost.start(lost.spec(1))).freeze()
      await subject.driver.removeNetwork(lost.rig, undefined)
      assert.deepEqual(await subject.left(lost.rig), [])
    })
  })

  describe('the node image', () => {
    let root: string

    beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'gantry-image-'))))
    afterEach(() => rmSync(root, { recursive: true }))

    it('is there already for the same code, and is another for other code', async () => {
      const { docker } = await openEngine()
      const image = await ensureNodeImage(docker, { root: ROOT })
      const said: string[] = []
      assert.equal(await ensureNodeImage(docker, { root: ROOT, progress: (text) => said.push(text) }), image)
      assert.equal(said.length, 0)
      cpSync(join(ROOT, 'deploy/node-image'), join(root, 'deploy/node-image'), { recursive: true })
      cpSync(join(ROOT, 'package.json'), join(root, 'package.json'))
      mkdirSync(join(root, 'dist'))
      writeFileSync(join(root, 'dist/gantry-agent.cjs'), 'other')
      const other = await ensureNodeImage(docker, { root, progress: (text) => said.push(text) })
      assert.notEqual(other, image)
      assert.deepEqual(said, ['node image: Gantry'])
      await docker.getImage(other).remove()
    })

    it('is refused while Gantry is not built', async () => {
      cpSync(join(ROOT, 'deploy/node-image'), join(root, 'deploy/node-image'), { recursive: true })
      mkdirSync(join(root, 'dist'))
      const { docker } = await openEngine()
      await assert.rejects(ensureNodeImage(docker, { root }), { code: 'FailedPrecondition', message: /not built/ })
    })
  })

  it('carries a whole cluster, with faults', async () => {
    await using rig = await Rig.up({ name: rigName('d'), driver: 'docker', nodes: 2 })
    await rig.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'one' },
      spec: { containers: [{ name: 'main', image: 'busybox', command: ['sleep', '600'] }] },
    })
    await rig.until('pod/one', 'Running')
    const reaches = async (): Promise<boolean> =>
      (await rig.node('n1').run(['busybox', 'ping', '-c', '1', '-W', '1', rig.node('n2').address], { allow: [0, 1] }))
        .code === 0
    assert.equal(await reaches(), true)
    // What the image has compiled is taken for this bundle: else it would be made anew, by a first run.
    const cache = '/opt/gantry/dist/cache/gantry-agent'
    const { stdout } = await rig
      .node('n1')
      .run(['sh', '-c', `node /opt/gantry/dist/gantry-agent.cjs --version && tail -c 500 ${cache}`])
    assert.match(stdout, /"runs":[23]/)
    const fault = await rig.partition(['n2'])
    assert.equal(await reaches(), false)
    await fault.heal()
    assert.equal(await reaches(), true)
    assert.match((await rig.gantry(['get', 'nodes'])).stdout, /^n2 +Ready/m)
  })
})
