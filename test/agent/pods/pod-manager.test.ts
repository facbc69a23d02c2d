import assert from 'node:assert/strict'
import { access, readdir, readFile, writeFile } from 'node:fs/promises'
import { GantryError } from '../../../proto/base/errors.ts'
import type { ConfigMap, Pod, Secret } from '../../../proto/gen/types.ts'
import { makeContainer, makePod, until } from '../fakes.ts'
import { instanceIn } from '../../../agent/pods/plan/pod-state.ts'
import { NodeFixture } from './fixture.ts'

function deleting(pod: Pod, deletionGracePeriodSeconds: number): Pod {
  return {
    ...pod,
    metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds },
  }
}

const configMap = (data: Record<string, string>, resourceVersion = '1'): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'settings', namespace: 'default', uid: 'u-cm', resourceVersion },
  data,
})

describe('pods of a node', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
  })

  afterEach(() => node.remove())

  it('runs a pod and tells all about it', async () => {
    node.assignAll(makePod('web'))
    const status = await node.phase('web', 'Running')
    const [container] = status.containerStatuses!
    assert.equal(status.podIP, '10.1.0.2')
    assert.equal(status.hostIP, '192.0.2.1')
    assert.equal(status.qosClass, 'BestEffort')
    assert.equal(container!.ready, true)
    assert.match(container!.containerID!, /^crun:\/\/[0-9a-f]{32}$/)
    assert.equal(container!.imageID, `docker.io/library/app@sha256:${Buffer.from('app').toString('hex')}`)
    assert.deepEqual(
      status.conditions!.map(({ type, status: holds }) => [type, holds]),
      [
        ['PodReadyToStartContainers', 'True'],
        ['Initialized', 'True'],
        ['Ready', 'True'],
        ['ContainersReady', 'True'],
        ['PodScheduled', 'True'],
      ],
    )
    await until('all steps are stamped', () => node.status('web').timeline?.length === 5)
    assert.deepEqual(
      node
        .status('web')
        .timeline!.map(({ step }) => step)
        .sort(),
      ['created', 'image', 'ready', 'sandbox', 'started'],
    )
    assert.deepEqual(
      node.reports.events.map((event) => event.reason),
      ['Pulled', 'Created', 'Started'],
    )
  })

  it('waits for the address range before it makes the network', async () => {
    const other = new NodeFixture()
    await other.start()
    try {
      other.assignAll(makePod('early'))
      await until('the image is found', () => other.images.ensured.length === 1)
      assert.equal(other.machine.sandboxes.size, 0)
      await other.welcome()
      await other.phase('early', 'Running')
    } finally {
      await other.remove()
    }
  })

  it('runs init containers one after the other, then the rest', async () => {
    node.behaviour = (spec) => (spec.args[0] === 'init' ? { exitAfter: 100 } : {})
    const init = (name: string) => makeContainer(name, { command: ['init', name] })
    node.assignAll(makePod('web', { initContainers: [init('a'), init('b')] }))
    await until('the first runs', () => node.specs.length === 1)
    assert.equal(
      node.status('web').containerStatuses?.[0]?.state?.waiting?.reason ?? 'PodInitializing',
      'PodInitializing',
    )
    await until('the second runs', async () => (await node.clock.advance(100), node.specs.length === 2))
    await until('all run', async () => (await node.clock.advance(100), node.status('web').phase === 'Running'))
    assert.deepEqual(
      node.specs.map((spec) => spec.args.at(-1)),
      ['a', 'b', '/bin/app'],
    )
    assert.deepEqual(
      node.status('web').initContainerStatuses!.map((status) => [status.ready, status.state?.terminated?.reason]),
      [
        [true, 'Completed'],
        [true, 'Completed'],
      ],
    )
  })

  it('tells the runtime kernel settings in its own form', async () => {
    node.assignAll(
      makePod('web', {
        securityContext: { sysctls: ['net.ipv4.tcp_rmem', 'net/ipv4/tcp_wmem'].map((name) => ({ name, value: '1' })) },
      }),
    )
    await node.phase('web', 'Running')
    assert.deepEqual(Object.keys(node.machine.sandboxes.get('uid-web')!.spec.sysctls), [
      'net.ipv4.tcp_rmem',
      'net.ipv4.tcp_wmem',
    ])
  })

  it('does not restart what is not to be restarted, and frees what it held', async () => {
    node.behaviour = () => ({ exitAfter: 5, exitCode: 1 })
    node.assignAll(makePod('job', { restartPolicy: 'Never' }))
    await until('it has started', () => node.specs.length === 1)
    await until('it has failed', async () => (await node.clock.advance(5), node.status('job').phase === 'Failed'))
    await until('the sandbox is gone', () => node.machine.sandboxes.size === 0 && node.network.attached.size === 0)
    assert.equal(node.status('job').containerStatuses![0]!.state!.terminated!.reason, 'Error')
    assert.equal(node.reports.latest('job')!.released, false)
  })

  it('names a command that cannot be run', async () => {
    node.behaviour = () => ({ startFailure: 127 })
    node.assignAll(
      makePod('job', { restartPolicy: 'Never', containers: [makeContainer('main', { command: ['nope'] })] }),
    )
    const status = await node.phase('job', 'Failed')
    const ended = status.containerStatuses![0]!.state!.terminated!
    assert.deepEqual(
      [ended.exitCode, ended.reason, ended.message],
      [127, 'ContainerCannotRun', 'exec: "nope": not found'],
    )
  })

  it('names what was killed for want of memory, with peak and limit', async () => {
    node.behaviour = () => ({ exitAfter: 5, oomKilled: true })
    node.assignAll(
      makePod('fat', {
        restartPolicy: 'Never',
        containers: [makeContainer('main', { resources: { limits: { memory: '16Mi' } } })],
      }),
    )
    await until('it has started', () => node.specs.length === 1)
    await until('it has failed', async () => (await node.clock.advance(5), node.status('fat').phase === 'Failed'))
    const ended = node.status('fat').containerStatuses![0]!.state!.terminated!
    assert.deepEqual([ended.exitCode, ended.reason], [137, 'OOMKilled'])
    assert.match(ended.message!, /limit 16Mi, peak 2048Ki/)
    assert.ok(node.reports.events.some((event) => event.reason === 'OOMKilled'))
  })

  it('says why an image cannot be had, and tries again', async () => {
    node.images.failure = () => new GantryError('NotFound', 'docker.io/library/app: not in the registry')
    node.assignAll(makePod('web'))
    const first = await node.reason('web', 'ErrImagePull')
    assert.equal(first.containerStatuses![0]!.state!.waiting!.message, 'docker.io/library/app: not in the registry')
    await until(
      'it backs off',
      async () => (
        await node.clock.advance(500),
        node.status('web').containerStatuses![0]!.state!.waiting!.reason === 'ImagePullBackOff'
      ),
    )
    node.images.failure = () => undefined
    await until('it runs', async () => (await node.clock.advance(1000), node.status('web').phase === 'Running'))
  })

  it('takes a corrected image at once', async () => {
    node.images.failure = (reference) =>
      reference === 'app' ? new GantryError('NotFound', 'no such image') : undefined
    const pod = makePod('web')
    node.assignAll(pod)
    await node.reason('web', 'ErrImagePull')
    node.assign([{ ...pod, spec: { ...pod.spec, containers: [makeContainer('main', { image: 'app2' })] } }])
    await node.phase('web', 'Running')
    assert.equal(node.status('web').containerStatuses![0]!.image, 'docker.io/library/app2')
    assert.equal(node.status('web').containerStatuses![0]!.restartCount, 0)
  })

  it('gives back an image that was prepared and is no longer wanted', async () => {
    const pod = makePod('web', {
      containers: [makeContainer('main', { envFrom: [{ configMapRef: { name: 'settings' } }] })],
    })
    node.assignAll(pod)
    await node.reason('web', 'CreateContainerConfigError')
    const [prepared] = node.images.rootfs
    node.assign([{ ...pod, spec: { ...pod.spec, containers: [{ ...pod.spec.containers[0]!, image: 'app2' }] } }])
    await until('another is prepared', () => node.images.rootfs.size === 1 && !node.images.rootfs.has(prepared!))
    node.assign([configMap({ colour: 'blue' })])
    await node.phase('web', 'Running')
    assert.equal(node.status('web').containerStatuses![0]!.image, 'docker.io/library/app2')
  })

  it('waits for a ConfigMap that is missing and starts when it comes', async () => {
    const env = [{ name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } }]
    node.assignAll(makePod('web', { containers: [makeContainer('main', { env })] }))
    const waiting = await node.reason('web', 'CreateContainerConfigError')
    assert.equal(waiting.containerStatuses![0]!.state!.waiting!.message, 'configmap "settings" not found')
    assert.equal(node.machine.containers.size, 0)
    node.assign([configMap({ colour: 'blue' })])
    await node.phase('web', 'Running')
    assert.ok(node.specs[0]!.env.includes('COLOUR=blue'))
  })

  it('keeps the files of a volume up to date', async () => {
    const pod = makePod('web', {
      volumes: [{ name: 'settings', configMap: { name: 'settings', defaultMode: 0o644 } }],
      containers: [makeContainer('main', { volumeMounts: [{ name: 'settings', mountPath: '/etc/app' }] })],
    })
    node.assignAll(pod, configMap({ colour: 'blue' }))
    await node.phase('web', 'Running')
    const mount = node.specs[0]!.mounts.find((other) => other.destination === '/etc/app')!
    assert.equal(mount.readOnly, true)
    assert.equal(await readFile(`${mount.source}/colour`, 'utf8'), 'blue')
    node.assign([configMap({ colour: 'red', size: 'L' }, '2')])
    await until('the file changed', async () => (await readFile(`${mount.source}/colour`, 'utf8')) === 'red')
    await until('the new file is there', async () => (await readdir(mount.source)).includes('size'))
    assert.equal(await readFile(`${mount.source}/size`, 'utf8'), 'L')
    assert.equal(node.specs.length, 1)
  })

  it('gives back what was prepared for a start that will not be', async () => {
    const pod = makePod('web', {
      containers: [makeContainer('main', { envFrom: [{ configMapRef: { name: 'settings' } }] })],
    })
    node.assignAll(pod)
    await node.reason('web', 'CreateContainerConfigError')
    assert.equal(node.images.rootfs.size, 1)
    node.assign([deleting(pod, 30)])
    await until('all is released', () => node.reports.latest('web')!.released)
    assert.deepEqual([node.images.rootfs.size, node.machine.sandboxes.size, node.machine.containers.size], [0, 0, 0])
  })

  it('stops with grace, takes a shorter grace, and releases all', async () => {
    node.behaviour = () => ({ ignoresSignals: true })
    const pod = makePod('web')
    node.assignAll(pod)
    await node.phase('web', 'Running')
    const container = [...node.machine.containers.values()][0]!
    node.assign([deleting(pod, 30)])
    node.pods.endpointsDrained(['uid-web'])
    await until('SIGTERM is sent', () => container.signals.length === 1)
    await node.clock.advance(4000)
    node.assign([deleting(pod, 5)])
    await node.clock.advance(900)
    assert.deepEqual(container.signals, [15])
    await until('SIGKILL is sent', async () => (await node.clock.advance(50), container.signals.length === 2))
    assert.deepEqual(container.signals, [15, 9])
    assert.ok(node.clock.monotonic() < 10_000, 'the longer grace was waited for')
    await until('all is released', () => node.reports.latest('web')!.released)
    assert.deepEqual(
      [node.machine.containers.size, node.machine.sandboxes.size, node.network.attached.size, node.images.rootfs.size],
      [0, 0, 0, 0],
    )
    await assert.rejects(access(node.folders.pod('uid-web')))
    await assert.rejects(access(node.folders.podLogs('uid-web')))
    assert.equal(node.status('web').phase, 'Failed')
    node.unassign(pod)
    await until(
      'it is forgotten',
      async () => node.pods.observations().length === 0 && (await node.state.load()).pods.length === 0,
    )
  })

  it('ends a pod that is no longer assigned', async () => {
    const pod = makePod('web')
    node.assignAll(pod, makePod('other'))
    await node.phase('web', 'Running')
    await node.phase('other', 'Running')
    node.assignAll(makePod('other'))
    await until('it is gone', async () => (await node.clock.advance(0), node.pods.observations().length === 1))
    assert.equal(node.machine.sandboxes.size, 1)
    assert.equal(node.status('other').phase, 'Running')
  })

  it('tells the steps of a pod on its way together with its running, or after a moment', async () => {
    node.assignAll(makePod('quick'))
    await node.phase('quick', 'Running')
    const told = node.reports.pods.filter(({ name }) => name === 'quick')
    assert.equal(told[0]!.status?.phase, 'Running')
    assert.deepEqual(
      told[0]!.status?.timeline?.map(({ step }) => step),
      ['sandbox', 'image', 'created', 'started', 'ready'],
    )

    let release: () => void = () => undefined
    node.images.held = new Promise((resolve) => (release = resolve))
    node.assignAll(makePod('quick'), makePod('slow'))
    await until(
      'it is on its way',
      async () => (await node.clock.advance(100), node.status('slow').phase === 'Pending'),
    )
    assert.equal(node.status('slow').containerStatuses?.[0]?.state?.waiting?.reason, 'ContainerCreating')
    release()
    await node.phase('slow', 'Running')
  })

  it('replaces a pod of the same name by the new one', async () => {
    node.assignAll(makePod('web'))
    await node.phase('web', 'Running')
    node.assign([makePod('web', {}, { uid: 'uid-second' })])
    await until(
      'only the second is left',
      async () => (
        await node.clock.advance(0),
        [...node.machine.sandboxes.keys()].join() === 'uid-second' &&
          node.reports.pods.some(({ uid, status }) => uid === 'uid-second' && status?.phase === 'Running')
      ),
    )
  })

  it('takes another image in place', async () => {
    const pod = makePod('web')
    node.assignAll(pod)
    await node.phase('web', 'Running')
    node.assign([{ ...pod, spec: { ...pod.spec, containers: [makeContainer('main', { image: 'app2' })] } }])
    await until(
      'the new one runs',
      async () => (
        await node.clock.advance(1),
        node.status('web').containerStatuses![0]!.image === 'docker.io/library/app2' &&
          node.status('web').phase === 'Running'
      ),
    )
    assert.equal(node.status('web').containerStatuses![0]!.restartCount, 1)
    assert.equal(node.status('web').containerStatuses![0]!.lastState!.terminated!.exitCode, 143)
  })

  it('ends a pod at its deadline', async () => {
    node.assignAll(makePod('job', { activeDeadlineSeconds: 60, restartPolicy: 'OnFailure' }))
    await node.phase('job', 'Running')
    await node.clock.advance(60_000)
    const status = await node.phase('job', 'Failed')
    assert.equal(status.reason, 'DeadlineExceeded')
    await until('the sandbox is gone', async () => (await node.clock.advance(0), node.machine.sandboxes.size === 0))
  })

  it('ends what somebody else removed', async () => {
    const pod = makePod('web')
    node.assignAll(pod)
    await node.phase('web', 'Running')
    node.machine.containers.clear()
    node.assign([deleting(pod, 30)])
    node.pods.endpointsDrained(['uid-web'])
    await until('all is released', () => node.reports.latest('web')!.released)
    assert.equal(node.status('web').containerStatuses![0]!.state!.terminated!.reason, 'ContainerStatusUnknown')
  })

  it('evicts a pod whose volume has outgrown its limit', async () => {
    const volume = { name: 'scratch', emptyDir: { sizeLimit: '64Ki' } }
    const pod = makePod('web', {
      volumes: [volume],
      containers: [makeContainer('main', { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] })],
    })
    node.assignAll(pod)
    await node.phase('web', 'Running')
    await node.pods.evictOversized()
    assert.equal(node.status('web').phase, 'Running')
    await writeFile(`${node.folders.emptyDir(pod, 'scratch')}/big`, Buffer.alloc(128 * 1024, 1))
    await node.pods.evictOversized()
    const status = await node.phase('web', 'Failed')
    assert.equal(status.reason, 'Evicted')
    assert.match(status.message!, /^emptyDir volume "scratch" holds \d+ bytes, more than its sizeLimit of 65536$/)
    await until('its volume is gone', async () => (await node.clock.advance(1), node.machine.sandboxes.size === 0))
  })

  it('refuses what does not fit', async () => {
    node.assignAll(makePod('big', { containers: [makeContainer('main', { resources: { requests: { cpu: '5' } } })] }))
    const status = await node.phase('big', 'Failed')
    assert.equal(status.reason, 'OutOfcpu')
    assert.match(status.message!, /requested 5000m, held by others 0m, allocatable 4000m/)
    assert.equal(node.machine.sandboxes.size, 0)
  })

  it('takes a pod in the place of one that has ended, though that is not cleared away yet', async () => {
    let clear!: () => void
    const cleared = new Promise<void>((resolve) => void (clear = resolve))
    const { detach } = node.network
    node.network.detach = async (id) => (await cleared, detach.call(node.network, id))
    node.behaviour = ({ args }) => (args[0] === 'short' ? { exitAfter: 5 } : {})
    const web = (name: string, command: string) =>
      makePod(name, {
        restartPolicy: 'Never',
        containers: [
          makeContainer('main', { command: [command], ports: [{ containerPort: 80, hostPort: 80, protocol: 'TCP' }] }),
        ],
      })
    node.assignAll(web('first', 'short'))
    await until(
      'the first has ended',
      async () => (await node.clock.advance(5), node.status('first').phase === 'Succeeded'),
    )
    try {
      node.assign([web('second', 'long')])
      await node.phase('second', 'Running')
      assert.equal(node.network.attached.has(web('first', '').metadata.uid), true)
    } finally {
      clear()
    }
  })

  it('does not run again what had ended before the node knew it', async () => {
    node.assignAll({ ...makePod('old'), status: { phase: 'Succeeded' } })
    await until('it is told', () => node.status('old').phase === 'Succeeded')
    assert.equal(node.specs.length, 0)
  })

  it('does not start again what may run only once and had started, though its record is lost', async () => {
    const status = {
      phase: 'Running' as const,
      containerStatuses: [
        { name: 'main', ready: true, restartCount: 0, image: 'busybox', imageID: '', state: { running: {} } },
      ],
    }
    const once = makePod('once', { restartPolicy: 'Never' })
    node.assignAll({ ...once, status }, { ...makePod('again'), status })
    await until(
      'it is told',
      () => node.status('once').phase === 'Failed' && node.status('once').reason === 'ContainerStatusUnknown',
    )
    // Its phase says nothing: it is told as Running before, too.
    await until('the other is started', () => node.specs.length > 0)
    await node.phase('again', 'Running')
    assert.equal(node.specs.length, 1)
  })

  describe('after a restart of the agent', () => {
    it('adopts what runs, without a controller and without a restart', async () => {
      node.assignAll(makePod('web'))
      const before = await node.phase('web', 'Running')
      await node.restart()
      assert.deepEqual(
        node.pods.observations()[0]!.status!.containerStatuses![0]!.containerID,
        before.containerStatuses![0]!.containerID,
      )
      const container = [...node.machine.containers.values()][0]!
      node.machine.end(container, 1)
      await until(
        'it is started again',
        () => node.specs.length === 2 && node.status('web').containerStatuses![0]!.restartCount === 1,
      )
      await node.phase('web', 'Running')
      assert.equal(node.status('web').podIP, before.podIP)
    })

    it('sees what ended meanwhile', async () => {
      node.assignAll(makePod('job', { restartPolicy: 'Never' }))
      await node.phase('job', 'Running')
      const container = [...node.machine.containers.values()][0]!
      await node.stop()
      node.machine.end(container, 0)
      await node.start()
      await node.phase('job', 'Succeeded')
    })

    it('sees what ends while the agent looks at what is there', async () => {
      node.assignAll(makePod('job', { restartPolicy: 'Never' }))
      await node.phase('job', 'Running')
      const container = [...node.machine.containers.values()][0]!
      await node.stop()
      const start = node.network.start.bind(node.network)
      node.network.start = (...args) => {
        node.machine.end(container, 0)
        return start(...args)
      }
      await node.start()
      await node.phase('job', 'Succeeded')
    })

    it('carries on with an end that was seen and not yet told', async () => {
      node.assignAll(makePod('job', { restartPolicy: 'Never' }))
      await node.phase('job', 'Running')
      await until(
        'it is on record',
        async () => (await node.state.load()).pods[0]?.containers.main?.stage.stage === 'running',
      )
      await node.stop()
      const record = (await node.state.load()).pods[0]!
      const main = record.containers.main!
      const exit = {
        state: 'exited' as const,
        exitCode: 3,
        signal: undefined,
        oomKilled: false,
        startedAt: 1,
        finishedAt: 2,
      }
      const stage = { stage: 'exited' as const, instance: instanceIn(main.stage)!, exit }
      await node.state.put({ ...record, containers: { main: { ...main, stage } } })
      node.machine.containers.clear()
      await node.start()
      const status = await node.phase('job', 'Failed')
      assert.equal(status.containerStatuses![0]!.state!.terminated!.exitCode, 3)
    })

    it('begins anew after the machine lost power', async () => {
      node.behaviour = (spec) => (spec.args[0] === 'init' ? { exitAfter: 1 } : {})
      node.assignAll(makePod('web', { initContainers: [makeContainer('init', { command: ['init'] })] }))
      await until('it runs', async () => (await node.clock.advance(1), node.status('web').phase === 'Running'))
      await node.stop()
      node.machine.reboot()
      await node.start()
      await until(
        'it runs again',
        async () => (await node.clock.advance(1), node.specs.length === 4 && node.status('web').phase === 'Running'),
      )
      assert.equal(node.status('web').containerStatuses![0]!.lastState!.terminated!.reason, 'ContainerStatusUnknown')
    })

    it('has sidecars go before what comes after them again, after the machine lost power', async () => {
      const pod = makePod('web', {
        initContainers: [makeContainer('proxy', { command: ['proxy'], restartPolicy: 'Always' })],
        containers: [makeContainer('main', { command: ['main'] })],
      })
      node.assignAll(pod)
      await node.phase('web', 'Running')
      await node.stop()
      node.machine.reboot()
      node.specs.length = 0
      node.behaviour = (spec) => (spec.args[0] === 'proxy' ? { createAfter: 1000 } : {})
      await node.start()
      await until('the sidecar is made', () => node.specs.length > 0)
      await until('both are prepared', () => node.images.rootfs.size >= 2)
      assert.deepEqual(
        node.specs.map(({ args }) => args[0]),
        ['proxy'],
      )
      await until('it runs again', async () => (await node.clock.advance(1000), node.status('web').phase === 'Running'))
      assert.deepEqual(
        node.specs.map(({ args }) => args[0]),
        ['proxy', 'main'],
      )
    })

    it('runs nothing again of a pod that may run only once, after the machine lost power', async () => {
      node.behaviour = (spec) => (spec.args[0] === 'init' ? { exitAfter: 1 } : {})
      node.assignAll(
        makePod('job', { restartPolicy: 'Never', initContainers: [makeContainer('init', { command: ['init'] })] }),
      )
      await until('it runs', async () => (await node.clock.advance(1), node.status('job').phase === 'Running'))
      await node.stop()
      node.machine.reboot()
      node.specs.length = 0
      await node.start()
      const status = await node.phase('job', 'Failed')
      assert.equal(status.containerStatuses![0]!.state!.terminated!.reason, 'ContainerStatusUnknown')
      assert.deepEqual(node.specs, [])
    })

    it('waits for secrets until the control plane is reached', async () => {
      const secret: Secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'key', namespace: 'default', uid: 'u-s', resourceVersion: '1' },
        type: 'Opaque',
        data: { token: Buffer.from('t0p').toString('base64') },
      }
      const pod = makePod('web', { containers: [makeContainer('main', { envFrom: [{ secretRef: { name: 'key' } }] })] })
      node.assignAll(pod, secret)
      await node.phase('web', 'Running')
      await node.restart()
      assert.ok(!JSON.stringify((await node.state.load()).pods).includes('t0p'))
      node.machine.end([...node.machine.containers.values()][0]!, 1)
      await until(
        'the end is seen',
        () =>
          node.status('web').containerStatuses![0]!.lastState?.terminated !== undefined ||
          node.status('web').containerStatuses![0]!.state?.terminated !== undefined,
      )
      assert.equal(node.specs.length, 1)
      node.assignAll(pod, secret)
      await until('it is started again', () => node.specs.length === 2)
      assert.ok(node.specs[1]!.env.includes('token=t0p'))
    })

    it('removes what no pod knows', async () => {
      await node.runtime.createSandbox({
        id: 'stray',
        hostname: 'x',
        network: undefined,
        hostPid: false,
        hostIpc: false,
        shareProcessNamespace: false,
        sysctls: {},
        resources: { cpuShares: 2, cpuQuotaMicros: 0, memoryLimit: 0, pidsLimit: 0 },
      })
      await node.images.mountRootfs('stray')
      await node.restart()
      assert.deepEqual([node.machine.sandboxes.size, node.images.rootfs.size], [0, 0])
    })
  })

  describe('streams', () => {
    it('reads logs, also of the instance before', async () => {
      node.assignAll(makePod('web'))
      await node.phase('web', 'Running')
      const log = (attempt: number, text: string): Promise<void> =>
        writeFile(node.folders.log('uid-web', 'main', attempt), `2026-01-01T00:00:00.000000001Z stdout F ${text}\n`)
      await log(0, 'first')
      node.machine.end([...node.machine.containers.values()][0]!, 1)
      await until(
        'the second runs',
        () => node.specs.length === 2 && node.status('web').containerStatuses![0]!.state?.running !== undefined,
      )
      await log(1, 'second')
      const read = async (previous: boolean): Promise<string> => {
        let text = ''
        const request = {
          namespace: 'default',
          pod: 'web',
          container: '',
          follow: false,
          previous,
          sinceTime: '',
          timestamps: false,
        }
        for await (const chunk of node.logs('uid-web', request, new AbortController().signal))
          text += Buffer.from(chunk).toString()
        return text
      }
      assert.equal(await read(false), 'second\n')
      assert.equal(await read(true), 'first\n')
    })

    it('runs a command and gives its output and exit code', async () => {
      node.behaviour = () => ({ exec: () => ({ stdout: 'hello', exitCode: 4 }) })
      node.assignAll(makePod('web'))
      await node.phase('web', 'Running')
      const outputs: string[] = []
      const start = { namespace: 'default', pod: 'web', container: '', command: ['echo'], stdin: false, tty: false }
      for await (const { output } of node.exec(
        'uid-web',
        start,
        (async function* () {})(),
        new AbortController().signal,
      )) {
        outputs.push(
          output?.case === 'exit'
            ? `exit ${output.value.code}`
            : Buffer.from((output as { value: Uint8Array }).value).toString(),
        )
      }
      assert.deepEqual(outputs, ['hello', 'exit 4'])
    })

    it('runs no command in a container that is over, and says how it ended', async () => {
      node.behaviour = () => ({ exitAfter: 10, exitCode: 3 })
      node.assignAll(makePod('web', { restartPolicy: 'Never' }))
      await node.phase('web', 'Running')
      await node.clock.advance(10)
      await node.phase('web', 'Failed')
      const start = { namespace: 'default', pod: 'web', container: '', command: ['echo'], stdin: false, tty: false }
      await assert.rejects(
        node.exec('uid-web', start, (async function* () {})(), new AbortController().signal).next(),
        {
          code: 'FailedPrecondition',
          message: 'Pod default/web: container "main" is not running: it ended with exit code 3',
        },
      )
    })

    it('asks which container when there are several', async () => {
      node.assignAll(makePod('web', { containers: [makeContainer('a'), makeContainer('b')] }))
      await node.phase('web', 'Running')
      const request = {
        namespace: 'default',
        pod: 'web',
        container: '',
        follow: false,
        previous: false,
        sinceTime: '',
        timestamps: false,
      }
      await assert.rejects(
        async () => {
          for await (const _ of node.logs('uid-web', request, new AbortController().signal))
            assert.fail('no output expected')
        },
        (error: GantryError) => error.code === 'InvalidArgument' && error.details[0]!.remedy === 'choose one of a, b',
      )
    })
  })
})
