/** The rig in TypeScript, on two rigs side by side. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildImage, writeLayout } from '../../deploy/image-builder.ts'
import { busyboxLayer } from '../../deploy/rig/demo.ts'
import { readContexts } from '../../proto/client/context.ts'
import { GantryError, type ErrorCode } from '../../proto/base/errors.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { Rig } from '../../deploy/rig/index.ts'
import { removeRig } from '../../deploy/rig/removal.ts'
import { rigDirectory } from '../../deploy/rig/rig-record.ts'
import { eventually } from '../eventually.ts'
import { rigName } from '../e2e/cluster.ts'

const NAMES = [rigName('api-a'), rigName('api-b')] as const

const sleeper = (name: string, node?: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'c', image: 'busybox', command: ['sleep', '1000000'] }],
    ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
  },
})

function fails(code: ErrorCode, message: RegExp): (thrown: unknown) => boolean {
  return (thrown) =>
    GantryError.is(thrown, code) &&
    message.test(`${thrown.message} ${thrown.details.map(({ remedy }) => remedy).join(' ')}`)
}

describe('a rig in TypeScript', function () {
  this.timeout(120_000)
  let rig: Rig
  let other: Rig

  before(async () => {
    await Promise.all(NAMES.map(removeRig))
    ;[rig, other] = await Promise.all([
      Rig.up({ name: NAMES[0], nodes: 2 }),
      Rig.up({ name: NAMES[1], nodes: 1, memoryBytes: 512 * 2 ** 20 }),
    ])
  })

  after(async () => {
    await Promise.all([rig, other].map((one) => one?.down()))
    for (const name of NAMES) assert.ok(!existsSync(rigDirectory(name)))
  })

  it('names its machines, with addresses of its own', async () => {
    assert.deepEqual(
      rig.machines.map(({ name, role }) => `${name} ${role}`),
      ['controller controller', 'n1 node', 'n2 node', 'registry registry'],
    )
    const addresses = [...rig.machines, ...other.machines].map(({ address }) => address)
    assert.equal(new Set(addresses).size, addresses.length)
    assert.equal(rig.controller().name, 'controller')
    assert.throws(() => rig.machine('n3'), fails('NotFound', /has no machine "n3".*it has controller, n1/s))
    assert.throws(() => rig.node('registry'), fails('InvalidArgument', /is a registry, not a node/))
    assert.throws(() => rig.controller(2), fails('NotFound', /1 controller, no number 2/))
    assert.equal((await rig.node('n1').run(['hostname'])).stdout, 'n1\n')
  })

  it('is listed with the process that it lives with', async () => {
    const listed = (await Rig.list()).filter(({ name }) => (NAMES as readonly string[]).includes(name))
    assert.deepEqual(
      listed.map(({ name, nodes, state, owner }) => [name, nodes, state, owner]),
      [
        [NAMES[0], 2, 'running', process.pid],
        [NAMES[1], 1, 'running', process.pid],
      ],
    )
  })

  it('gives others a context', async () => {
    const { name, file, server } = rig.context()
    const { contexts, currentContext } = await readContexts(file)
    assert.deepEqual([name, contexts.length, currentContext, contexts[0]!.server], [NAMES[0], 1, NAMES[0], server])
  })

  it('applies, waits, deletes, in its own cluster only', async () => {
    const [applied] = await rig.apply(sleeper('one'))
    assert.equal(applied!.metadata.name, 'one')
    const running = (await rig.until('pod/one', 'Running')) as Pod
    assert.equal(running.status.phase, 'Running')
    assert.equal(await other.client.find('Pod', 'default', 'one'), undefined)
    await rig.delete('pod/one')
    assert.equal(await rig.until('pod/one', 'Deleted'), undefined)
    await rig.delete(sleeper('one')) // gone already
    await assert.rejects(
      rig.until('pod/one', 'Running', { timeout: 50 }),
      fails('DeadlineExceeded', /pod\/one is not Running: it does not exist/),
    )
    await assert.rejects(
      rig.apply([
        sleeper('two'),
        { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'bad' }, spec: { containres: [] } },
      ]),
      fails('InvalidArgument', /containres.*did you mean/),
    )
    assert.equal(await rig.client.find('Pod', 'default', 'two'), undefined)
  })

  it('runs the command line', async () => {
    const { code, stdout } = await rig.gantry(['get', 'nodes', '-o', 'name'])
    assert.deepEqual([code, stdout], [0, 'node/n1\nnode/n2\n'])
    assert.equal((await rig.gantry(['get', 'pod', 'nobody'])).code, 3)
  })

  it('has nodes with what their own machines have and use', async () => {
    const [limited, whole] = await Promise.all([other, rig].map(async (one) => await one.client.get('Node', '', 'n1')))
    assert.equal(limited!.status.capacity!.memory, '512Mi')
    assert.notEqual(whole!.status.capacity!.memory, '512Mi')
    // What the host uses is the same for all of its nodes, and more than a node of a rig has.
    const used = async (one: Rig, node: string): Promise<number> => {
      const { stdout } = await one.gantry(['top', 'nodes', '--no-headers'])
      return Number(new RegExp(`^${node} .* (\\d+)Mi `, 'm').exec(stdout)?.[1])
    }
    const memory = [await used(other, 'n1'), await used(rig, 'n1'), await used(rig, 'n2')]
    for (const mebibytes of memory) assert.ok(mebibytes > 0 && mebibytes < 400, String(memory))
  })

  it('has images of any registry in its own, for pods of every pull policy', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-rig-images-'))
    try {
      const image = await buildImage({
        layers: [{ files: await busyboxLayer() }],
        config: { Cmd: ['sleep', '1000000'] },
      })
      await writeLayout(image, folder, 'latest')
      assert.deepEqual(await rig.push(folder, { name: 'registry.k8s.io/pause:3.10' }), [
        { reference: 'registry.k8s.io/pause:3.10', digest: image.manifest.digest },
      ])
    } finally {
      await rm(folder, { recursive: true })
    }
    const containers = [{ name: 'c', image: 'registry.k8s.io/pause:3.10', imagePullPolicy: 'Always' }]
    await rig.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'pause' },
      spec: { terminationGracePeriodSeconds: 0, containers },
    })
    await rig.until('pod/pause', 'Ready')
    await rig.delete('pod/pause')
    assert.deepEqual(
      (await rig.images()).map(({ image }) => image),
      ['busybox:1.37', 'busybox:latest', 'gantry/hello:1.0', 'registry.k8s.io/pause:3.10'],
    )
  })

  it('kills a machine, which heals or starts again; each is recorded', async () => {
    const fault = await rig.node('n2').kill()
    assert.equal(await rig.node('n2').state(), 'off')
    assert.equal(await other.node('n1').state(), 'running')
    assert.deepEqual((await rig.faults()).at(-1)!.id, fault.id)
    await fault.heal()
    await fault.heal() // it has ended
    assert.equal(await rig.node('n2').state(), 'running')
    await rig.node('n2').kill()
    await rig.node('n2').start()
    assert.equal(await rig.node('n2').state(), 'running')
    assert.ok((await rig.faults()).every(({ ended }) => ended !== undefined))
  })

  it('cuts machines off for a while', async () => {
    const reaches = async (): Promise<boolean> =>
      (await rig.node('n1').run(['busybox', 'ping', '-c1', '-W1', rig.node('n2').address], { allow: [0, 1] })).code ===
      0
    assert.ok(await reaches())
    const { record } = await rig.partition(['n1'], ['n2'], { for: 1_000 })
    assert.ok(record.until !== undefined)
    assert.ok(!(await reaches()))
    await eventually(reaches)
    await eventually(async () => (await rig.faults()).at(-1)!.ended !== undefined)
  })

  it('kills a program, which comes back', async () => {
    await rig.node('n1').program('agent').kill()
    await rig.until('node/n1', 'Ready')
    await assert.rejects(rig.node('n1').program('etcd').kill(), fails('InvalidArgument', /etcd/))
  })

  it('adds nodes at once, each with a name of its own, and takes one away politely', async () => {
    const [first, second] = await Promise.all([rig.addNode(), rig.addNode()])
    assert.deepEqual([first[0]!.name, second[0]!.name].sort(), ['n3', 'n4'])
    await rig.refresh()
    assert.equal(rig.nodes.length, 4)
    await rig.apply(sleeper('leaving', 'n3'))
    await rig.until('pod/leaving', 'Running')
    await rig.removeNode('n3')
    assert.equal(await rig.client.find('Pod', 'default', 'leaving'), undefined)
    assert.equal(await rig.client.find('Node', '', 'n3'), undefined)
    await rig.removeNode('n4', { now: true })
    assert.deepEqual(
      rig.nodes.map(({ name }) => name),
      ['n1', 'n2'],
    )
    await assert.rejects(rig.removeNode('n3'), fails('NotFound', /no machine "n3"/))
  })

  it('is opened by another, who may let go of it', async () => {
    const opened = await Rig.open(NAMES[0])
    await opened.apply(sleeper('through'))
    await opened[Symbol.asyncDispose]()
    await rig.until('pod/through', 'Running')
    await rig.delete('pod/through')
    await assert.rejects(Rig.open('no-such-rig'), fails('NotFound', /there is no rig/))
  })

  it('refuses a second one of its name', async () => {
    await assert.rejects(Rig.up({ name: NAMES[0], nodes: 0 }), fails('AlreadyExists', /which is up.*gantry rig down/))
    assert.equal(await rig.node('n1').state(), 'running')
  })

  it('is given up when it is aborted', async () => {
    const name = rigName('api-c')
    const interrupt = new AbortController()
    await assert.rejects(
      Rig.up({
        name,
        nodes: 1,
        signal: interrupt.signal,
        progress: (text) => text.includes('machines') && interrupt.abort(),
      }),
      fails('Cancelled', /./),
    )
    assert.ok(!existsSync(rigDirectory(name)))
  })
})
