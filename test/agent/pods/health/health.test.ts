/** Probes, hooks, readiness gates and endings of pods on a node of fakes. */
import assert from 'node:assert/strict'
import type { Container, Lifecycle, Pod, PodSpec, Probe } from '../../../../proto/gen/types.ts'
import type { FakeContainer } from '../../../../agent/runtime/fake.ts'
import { makeContainer, makePod, until } from '../../fakes.ts'
import { NodeFixture } from '../fixture.ts'

const probe = (fields: Partial<Probe> = {}): Probe => ({
  timeoutSeconds: 1,
  periodSeconds: 1,
  successThreshold: 1,
  failureThreshold: 2,
  tcpSocket: { port: 80 },
  ...fields,
})
/** Told apart by their ports. */
const STARTUP = 1
const READINESS = 2
const LIVENESS = 3
const on = (port: number, fields: Partial<Probe> = {}): Probe => probe({ tcpSocket: { port }, ...fields })
const web = (fields: Partial<Container>, spec: Partial<PodSpec> = {}, metadata = {}): Pod =>
  makePod('web', { ...spec, containers: [makeContainer('main', fields)] }, metadata)
const deleted = (pod: Pod, deletionGracePeriodSeconds = 30): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds },
})

describe('health of pods', () => {
  let node: NodeFixture
  /** Ports that answer. */
  let answering: Set<number>

  beforeEach(async () => {
    node = new NodeFixture()
    answering = new Set([STARTUP, READINESS, LIVENESS])
    node.actions.outcome = ({ tcpSocket }) => ({
      verdict: answering.has(tcpSocket!.port as number) ? 'success' : 'failure',
      message: 'refused',
    })
    await node.start()
    await node.welcome()
  })

  afterEach(() => node.remove())

  const status = () => node.status('web').containerStatuses![0]!
  const condition = (type: string) => node.status('web').conditions!.find((other) => other.type === type)!
  const events = (reason: string): string[] =>
    node.reports.events.filter((event) => event.reason === reason).map(({ message }) => message!)
  const containers = (): FakeContainer[] => [...node.machine.containers.values()]
  const runs = (): Promise<void> => until('it runs', () => status()?.state?.running !== undefined)
  const step = (what: string, holds: () => boolean, millis = 100): Promise<void> =>
    until(what, async () => holds() || (await node.clock.advance(millis), holds()))

  it('is ready as soon as it runs where nothing is asked', async () => {
    node.assignAll(web({}))
    await runs()
    assert.deepEqual([status().ready, status().started, condition('Ready').status], [true, true, 'True'])
  })

  it("is ready while its readiness probe succeeds, and asks the pod's own address", async () => {
    answering.delete(READINESS)
    node.assignAll(
      web({ readinessProbe: on(READINESS), ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }] }),
    )
    await runs()
    assert.deepEqual([status().ready, status().started], [false, true])
    assert.deepEqual(
      [condition('Ready').status, condition('Ready').reason, condition('ContainersReady').status],
      ['False', 'ContainersNotReady', 'False'],
    )
    assert.equal(
      node.status('web').timeline!.some(({ step: name }) => name === 'ready'),
      false,
    )
    await step('the failure is told', () => events('Unhealthy').length > 0)
    assert.deepEqual(events('Unhealthy').slice(0, 1), ['Readiness probe failed: refused'])
    answering.add(READINESS)
    await step('it is ready', () => condition('Ready').status === 'True')
    assert.equal(node.status('web').timeline!.filter(({ step: name }) => name === 'ready').length, 1)
    assert.deepEqual(node.actions.probed[0]!.target, {
      instanceId: containers()[0]!.spec.id,
      address: '10.1.0.2',
      ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }],
    })
    answering.delete(READINESS)
    await step('it is not ready', () => condition('Ready').status === 'False')
    assert.equal(containers().length, 1)
    assert.equal(status().restartCount, 0)
  })

  it('is not ready from its end on, and asks again when it is started anew', async () => {
    node.assignAll(web({ readinessProbe: on(READINESS) }))
    await step('it is ready', () => node.status('web').containerStatuses?.[0]?.ready === true)
    node.machine.end(containers()[0]!, 1)
    await until('it is not ready', () => !status().ready)
    assert.equal(condition('Ready').status, 'False')
    answering.delete(READINESS)
    await step('it runs again', () => status().restartCount === 1 && status().state?.running !== undefined)
    assert.equal(status().ready, false)
  })

  it('holds the other probes back until the startup probe has succeeded', async () => {
    answering.delete(STARTUP)
    node.assignAll(
      web({
        startupProbe: on(STARTUP, { failureThreshold: 30 }),
        readinessProbe: on(READINESS),
        livenessProbe: on(LIVENESS),
      }),
    )
    await runs()
    await node.clock.advance(5000)
    assert.deepEqual([status().started, status().ready], [false, false])
    assert.deepEqual(new Set(node.actions.probed.map(({ handler }) => handler.tcpSocket!.port)), new Set([STARTUP]))
    answering.add(STARTUP)
    await step('it is ready', () => status().ready)
    assert.equal(status().started, true)
    const asked = node.actions.probed.filter(({ handler }) => handler.tcpSocket!.port === STARTUP).length
    await node.clock.advance(5000)
    assert.equal(node.actions.probed.filter(({ handler }) => handler.tcpSocket!.port === STARTUP).length, asked)
  })

  it('starts a container again that does not come up in time', async () => {
    answering.delete(STARTUP)
    node.assignAll(web({ startupProbe: on(STARTUP) }))
    await step('it is started again', () => node.status('web').containerStatuses?.[0]?.restartCount === 1)
    assert.deepEqual(events('Killing'), ['Container main failed startup probe, will be restarted'])
    assert.equal(events('Unhealthy')[0], 'Startup probe failed: refused')
  })

  it('starts a container again that lives no more, with the grace of its probe', async () => {
    node.behaviour = () => ({ ignoresSignals: true })
    node.assignAll(
      web({ livenessProbe: on(LIVENESS, { terminationGracePeriodSeconds: 3 }) }, { terminationGracePeriodSeconds: 60 }),
    )
    await runs()
    await node.clock.advance(3000)
    answering.delete(LIVENESS)
    const first = containers()[0]!
    await step('SIGTERM is sent', () => first.signals.length === 1)
    const since = node.clock.monotonic()
    assert.equal(status().ready, true, 'it is ready until it has ended')
    await step('SIGKILL is sent', () => first.signals.length === 2, 50)
    assert.ok(Math.abs(node.clock.monotonic() - since - 3000) <= 100, `${node.clock.monotonic() - since} ms`)
    await step('it runs again', () => status().restartCount === 1 && status().state?.running !== undefined)
    assert.deepEqual(events('Killing'), ['Container main failed liveness probe, will be restarted'])
    assert.deepEqual([status().lastState!.terminated!.exitCode, node.status('web').phase], [137, 'Running'])
  })

  it('starts one again that ended well when it was asked to, where its pod restarts only what fails', async () => {
    node.assignAll(web({ livenessProbe: on(LIVENESS) }, { restartPolicy: 'OnFailure' }))
    await runs()
    answering.delete(LIVENESS)
    const first = containers()[0]!
    await step('SIGTERM is sent', () => first.signals.length === 1)
    node.machine.end(first, 0)
    await step('it runs again', () => status().restartCount === 1 && status().state?.running !== undefined)
  })

  it('ends a container that lives no more for good where its pod never restarts', async () => {
    node.assignAll(web({ livenessProbe: on(LIVENESS) }, { restartPolicy: 'Never' }))
    await runs()
    answering.delete(LIVENESS)
    await step('it has failed', () => node.status('web').phase === 'Failed')
    assert.deepEqual(events('Killing'), ['Container main failed liveness probe'])
  })

  it('asks only for readiness while the pod is being ended', async () => {
    node.behaviour = () => ({ ignoresSignals: true })
    const pod = web({ readinessProbe: on(READINESS), livenessProbe: on(LIVENESS) })
    node.assignAll(pod)
    await step('it is ready', () => node.status('web').containerStatuses?.[0]?.ready === true)
    node.assign([deleted(pod)])
    await until('it is being ended', () => events('Killing').length === 1)
    answering.clear()
    const before = node.actions.probed.length
    await step('it is not ready', () => !status().ready)
    await node.clock.advance(5000)
    assert.deepEqual(
      new Set(node.actions.probed.slice(before + 1).map(({ handler }) => handler.tcpSocket!.port)),
      new Set([READINESS]),
    )
    assert.equal(events('Killing').length, 1)
  })

  it('stays ready over a restart of the agent until a probe says otherwise, and spreads the first ones', async () => {
    node.assignAll(
      web({ readinessProbe: on(READINESS, { periodSeconds: 10, failureThreshold: 1 }), startupProbe: on(STARTUP) }),
    )
    await step('it is ready', () => node.status('web').containerStatuses?.[0]?.ready === true)
    await node.restart()
    assert.equal(node.pods.observations()[0]!.status!.containerStatuses![0]!.ready, true)
    answering.clear()
    const before = node.actions.probed.length
    await node.clock.advance(0)
    assert.equal(node.actions.probed.length, before, 'the first is made at once')
    await step('it is not ready', () => !status().ready, 1000)
    assert.deepEqual(
      new Set(node.actions.probed.slice(before).map(({ handler }) => handler.tcpSocket!.port)),
      new Set([READINESS]),
    )
    await node.restart()
    assert.equal(node.pods.observations()[0]!.status!.containerStatuses![0]!.ready, false)
  })

  it('holds nothing against a container that needs a moment to come up', async () => {
    answering = new Set()
    node.assignAll(
      web({
        readinessProbe: on(READINESS, { failureThreshold: 1 }),
        livenessProbe: on(LIVENESS, { failureThreshold: 1 }),
      }),
    )
    await runs()
    await step('it is asked', () => node.actions.probed.length > 0, 1)
    answering = new Set([READINESS, LIVENESS])
    await step('it is ready', () => status().ready)
    const { periodSeconds } = on(LIVENESS)
    await node.clock.advance(2 * periodSeconds * 1000)
    assert.deepEqual([events('Unhealthy'), events('Killing'), status().restartCount, status().ready], [[], [], 0, true])
  })

  it('waits with its first probe as long as it says', async () => {
    node.assignAll(web({ readinessProbe: on(READINESS, { initialDelaySeconds: 7 }) }))
    await runs()
    await node.clock.advance(6999)
    assert.equal(node.actions.probed.length, 0)
    await node.clock.advance(1)
    await until('it is ready', () => status().ready)
  })

  it('is ready only when others say so, too', async () => {
    const pod = web({}, { readinessGates: [{ conditionType: 'example.com/balanced' }] })
    node.assignAll(pod)
    await runs()
    assert.deepEqual(
      [condition('ContainersReady').status, condition('Ready').status, condition('Ready').reason],
      ['True', 'False', 'ReadinessGatesNotReady'],
    )
    assert.match(condition('Ready').message!, /readiness gate "example.com\/balanced" does not exist/)
    const said = (is: 'True' | 'False'): Pod => ({
      ...pod,
      status: { conditions: [{ type: 'example.com/balanced', status: is }] },
    })
    node.assign([said('False')])
    await until('it is told', () => condition('Ready').message!.includes('is not "True", but False'))
    node.assign([said('True')])
    await until('it is ready', () => condition('Ready').status === 'True')
    assert.equal(
      node.status('web').conditions!.some(({ type }) => type === 'example.com/balanced'),
      false,
      "what others write is not the node's to tell",
    )
  })

  describe('hooks', () => {
    const hooks: { end: (() => void) | undefined; fail: ((error: Error) => void) | undefined; aborted: boolean } = {
      end: undefined,
      fail: undefined,
      aborted: false,
    }
    const exec: Lifecycle['preStop'] = { exec: { command: ['hook'] } }

    beforeEach(() => {
      Object.assign(hooks, { end: undefined, fail: undefined, aborted: false })
      node.actions.hooks = (_handler, signal) =>
        new Promise((resolve, reject) => {
          hooks.end = resolve
          hooks.fail = reject
          signal.addEventListener('abort', () => {
            hooks.aborted = true
            reject(signal.reason as Error)
          })
        })
    })

    const begun = (): Promise<void> => until('the hook runs', () => hooks.end !== undefined)
    const signals = (): number[] => containers()[0]!.signals

    it('does not count as running before its postStart hook has ended', async () => {
      node.assignAll(web({ lifecycle: { postStart: exec }, readinessProbe: on(READINESS) }))
      await begun()
      await node.clock.advance(600)
      assert.deepEqual(
        [status().state?.waiting?.reason, status().ready, status().started, node.status('web').phase],
        ['ContainerCreating', false, false, 'Pending'],
      )
      assert.equal(node.actions.probed.length, 0)
      hooks.end!()
      await step('it is ready', () => status().ready)
      assert.equal(node.actions.hooked.length, 1)
    })

    it('ends a container whose postStart hook fails', async () => {
      node.assignAll(web({ lifecycle: { postStart: exec } }))
      await begun()
      hooks.fail!(new Error('no database'))
      hooks.end = undefined
      await step('it is started again', () => node.specs.length === 2)
      assert.deepEqual(events('FailedPostStartHook'), ['PostStartHook failed: no database'])
      assert.deepEqual(events('Killing'), ['Container main failed its postStart hook, will be restarted'])
    })

    it('sleeps after the start', async () => {
      node.assignAll(web({ lifecycle: { postStart: { sleep: { seconds: 3 } } } }))
      await until('it has started', () => containers()[0]?.state.state === 'running')
      await node.clock.advance(2900)
      assert.equal(status().state?.running, undefined)
      await step('it runs', () => status().state?.running !== undefined)
      assert.equal(node.actions.hooked.length, 0)
    })

    it('runs preStop before SIGTERM, and counts it against the grace', async () => {
      node.behaviour = () => ({ ignoresSignals: true })
      const pod = web({ lifecycle: { preStop: exec } })
      node.assignAll(pod)
      await runs()
      node.assign([deleted(pod, 20)])
      node.pods.endpointsDrained(['uid-web'])
      await begun()
      await node.clock.advance(12_000)
      assert.deepEqual(signals(), [])
      hooks.end!()
      await until('SIGTERM is sent', () => signals().length === 1)
      await node.clock.advance(7900)
      assert.deepEqual(signals(), [15])
      await step('SIGKILL is sent', () => signals().length === 2)
    })

    it('sends SIGTERM after a preStop hook that fails, and says so', async () => {
      const pod = web({ lifecycle: { preStop: exec } })
      node.assignAll(pod)
      await runs()
      node.assign([deleted(pod)])
      node.pods.endpointsDrained(['uid-web'])
      await begun()
      hooks.fail!(new Error('cannot drain'))
      await until('SIGTERM is sent', () => signals().length === 1)
      assert.deepEqual(events('FailedPreStopHook'), ['PreStopHook failed: cannot drain'])
    })

    it('cuts a preStop hook short that outlasts the grace, and gives 2 s more', async () => {
      node.behaviour = () => ({ ignoresSignals: true })
      const pod = web({ lifecycle: { preStop: exec } })
      node.assignAll(pod)
      await runs()
      node.assign([deleted(pod, 10)])
      await begun()
      await node.clock.advance(9900)
      assert.deepEqual([signals(), hooks.aborted], [[], false])
      await step('SIGTERM is sent', () => signals().length === 1)
      assert.equal(hooks.aborted, true)
      await node.clock.advance(1800)
      assert.deepEqual(signals(), [15])
      await step('SIGKILL is sent', () => signals().length === 2)
    })

    it('does not run a preStop hook twice when the agent ends meanwhile', async () => {
      const pod = web({ lifecycle: { preStop: exec } })
      node.assignAll(pod)
      await runs()
      node.assign([deleted(pod)])
      node.pods.endpointsDrained(['uid-web'])
      await begun()
      await node.restart()
      await until('SIGTERM is sent', () => signals().length === 1)
      assert.equal(node.actions.hooked.length, 1)
      assert.deepEqual(events('FailedPreStopHook'), [])
    })

    it('sleeps on over a restart of the agent, as long as it said', async () => {
      const pod = web({ lifecycle: { preStop: { sleep: { seconds: 8 } } } })
      node.assignAll(pod)
      await runs()
      node.assign([deleted(pod)])
      node.pods.endpointsDrained(['uid-web'])
      await until('it is being ended', () => events('Killing').length === 1)
      await node.clock.advance(4000)
      await node.restart()
      await node.clock.advance(3900)
      assert.deepEqual(signals(), [])
      await step('SIGTERM is sent', () => signals().length === 1)
    })

    it('runs preStop also for a container that is ended for its health, and not for one that ended by itself', async () => {
      node.assignAll(web({ lifecycle: { preStop: exec }, livenessProbe: on(LIVENESS) }))
      await runs()
      node.machine.end(containers()[0]!, 1)
      await step('it runs again', () => status().restartCount === 1 && status().state?.running !== undefined)
      assert.equal(node.actions.hooked.length, 0)
      answering.delete(LIVENESS)
      await step('the hook runs', () => node.actions.hooked.length === 1)
      const second = containers().at(-1)!
      assert.deepEqual(second.signals, [])
      hooks.end!()
      await until('SIGTERM is sent', () => second.signals.length === 1)
    })

    it('sends the stop signal that the pod asks for', async () => {
      node.images.config = { stopSignal: 'SIGQUIT' }
      const pod = web({ lifecycle: { stopSignal: 'SIGUSR1' } })
      node.assignAll(pod)
      await runs()
      assert.equal(status().stopSignal, 'SIGUSR1')
      node.assign([deleted(pod)])
      node.pods.endpointsDrained(['uid-web'])
      await until('it is sent', () => signals().length === 1)
      assert.deepEqual(signals(), [10])
    })
  })

  describe('ending', () => {
    const stopping = async (grace = 30, fields: Partial<Container> = {}): Promise<FakeContainer> => {
      node.behaviour = () => ({ ignoresSignals: true })
      const pod = web(fields)
      node.assignAll(pod)
      await runs()
      node.assign([deleted(pod, grace)])
      await until('its end has begun', () => events('Killing').length === 1 || containers()[0]!.signals.length > 0)
      return containers()[0]!
    }

    it('holds SIGTERM until nobody sends it anything any more', async () => {
      const container = await stopping()
      await node.clock.advance(1500)
      assert.deepEqual(container.signals, [])
      assert.equal(status().ready, true)
      node.pods.endpointsDrained(['uid-other', 'uid-web'])
      await until('SIGTERM is sent', () => container.signals.length === 1)
    })

    it('holds it no longer than 5 s, whoever sets the clock', async () => {
      const container = await stopping()
      node.clock.set(3_600_000)
      await node.clock.advance(4900)
      assert.deepEqual(container.signals, [])
      node.clock.set(-7_200_000)
      await step('SIGTERM is sent', () => container.signals.length === 1, 50)
      assert.ok(node.clock.monotonic() < 6000)
    })

    it('holds it over a restart of the agent, and knows what it was told before', async () => {
      const container = await stopping()
      await node.restart()
      await node.clock.advance(2000)
      assert.deepEqual(container.signals, [])
      node.pods.endpointsDrained(['uid-web'])
      await until('SIGTERM is sent', () => container.signals.length === 1)
      assert.equal((await node.state.load()).pods[0]!.withdrawn, true)
    })

    it('does not wait where nothing was ever sent, or where there is no grace for it', async () => {
      answering.delete(READINESS)
      const unready = await stopping(30, { readinessProbe: on(READINESS) })
      await until('SIGTERM is sent at once', () => unready.signals.length === 1)
      assert.deepEqual(unready.signals, [15])
    })

    it('kills at once without grace', async () => {
      const container = await stopping(0)
      await until('SIGKILL is sent', () => container.signals.length === 1)
      assert.deepEqual(container.signals, [9])
    })
  })

  describe('sidecars', () => {
    const sidecar = (name: string, fields: Partial<Container> = {}): Container =>
      makeContainer(name, { restartPolicy: 'Always', command: [name], ...fields })
    const named = (name: string): FakeContainer[] => containers().filter(({ spec }) => spec.args[0] === name)
    const init = (index: number) => node.status('web').initContainerStatuses![index]!

    it('start one after the other, before what comes after them, and run beside it', async () => {
      answering.delete(STARTUP)
      node.assignAll(
        makePod('web', {
          initContainers: [sidecar('mesh', { startupProbe: on(STARTUP, { failureThreshold: 100 }) })],
          containers: [makeContainer('main')],
        }),
      )
      await until('the sidecar runs', () => named('mesh').length === 1)
      await node.clock.advance(3000)
      assert.equal(node.specs.length, 1)
      assert.equal(node.status('web').phase, 'Pending')
      answering.add(STARTUP)
      await step('all run', () => node.status('web').phase === 'Running')
      assert.deepEqual(
        [
          init(0).started,
          init(0).ready,
          init(0).state?.running === undefined,
          condition('Initialized').status,
          condition('Ready').status,
        ],
        [true, true, false, 'True', 'True'],
      )
      node.machine.end(named('mesh')[0]!, 0)
      await step('it is started again', () => init(0).restartCount === 1 && init(0).started === true)
      assert.equal(status().restartCount, 0)
    })

    it('do not keep a pod from finishing, and are ended last, in turn', async () => {
      node.behaviour = ({ args }) => (args[0] === '/bin/app' ? { exitAfter: 1000 } : { stopAfter: 500 })
      node.assignAll(
        makePod('web', {
          restartPolicy: 'Never',
          initContainers: [sidecar('log'), sidecar('mesh')],
          containers: [makeContainer('main')],
        }),
      )
      await step('all run', () => node.status('web').phase === 'Running')
      await step('the last sidecar is asked to end', () => named('mesh')[0]!.signals.length === 1)
      assert.equal(node.status('web').phase, 'Running')
      assert.deepEqual(named('log')[0]!.signals, [])
      const log = named('log')[0]!
      await step('then the first', () => log.signals.length === 1)
      await step('the pod has succeeded', () => node.status('web').phase === 'Succeeded')
    })
  })

  it('counts how long a pod may be active by a clock that nobody sets', async () => {
    node.assignAll(web({}, { activeDeadlineSeconds: 60 }))
    await runs()
    node.clock.set(3_600_000)
    await node.clock.advance(59_000)
    assert.equal(node.status('web').phase, 'Running')
    node.clock.set(-7_200_000)
    await step('it has failed', () => node.status('web').reason === 'DeadlineExceeded', 1000)
    assert.ok(node.clock.monotonic() <= 62_000)
  })
})
