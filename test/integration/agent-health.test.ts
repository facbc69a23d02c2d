/**
 * Probes, hooks and endings with a real runtime: what containers do is seen by the files that they write and the ports
 * that they open.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AssignedObjects } from '../../agent/pods/assigned-objects.ts'
import { ENDPOINT_DRAIN_TIMEOUT_MS } from '../../agent/pods/plan/kill-plan.ts'
import { ImageUserCache } from '../../agent/pods/steps/image-user-cache.ts'
import { NodeNetwork } from '../../agent/pods/node-network.ts'
import { EventRecorder } from '../../agent/pods/status/pod-events.ts'
import { PodManager } from '../../agent/pods/pod-manager.ts'
import { FilePodDisk } from '../../agent/pods/steps/pod-disk.ts'
import { NodeHandlerRunner } from '../../agent/pods/health/node-handler-runner.ts'
import type { OciDriver } from '../../agent/runtime/oci/driver.ts'
import { MemoryState } from '../../agent/state/memory.ts'
import { unmountUnder } from '../../agent/host/mount-table.ts'
import { PodFolders } from '../../agent/volumes/pod-folders.ts'
import { VolumeManager } from '../../agent/volumes/volume-manager.ts'
import { systemClock, type Clock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { readProcess } from '../../proto/base/process.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Container, Pod, PodSpec, Probe } from '../../proto/gen/types.ts'
import { FakeImages, FakeNetwork, makeContainer, makePod, RecordedReports, until } from '../agent/fakes.ts'
import { RuntimeMachine } from '../agent/runtime/machine.ts'
import { freePort } from './free-port.ts'

/** Every image is the machine's busybox; all containers share its file system. */
class BusyboxImages extends FakeImages {
  override mountRootfs(): Promise<{ path: string }> {
    return Promise.resolve({ path: this.root })
  }

  override removeRootfs(): Promise<void> {
    return Promise.resolve()
  }
}

/** Of the pods, whose periods and graces have no fractions of a second: four times as fast. */
const SPEED = 4
const origin = { now: systemClock.now(), monotonic: systemClock.monotonic() }
const clock: Clock = {
  now: () => origin.now + (systemClock.monotonic() - origin.monotonic) * SPEED,
  monotonic: () => systemClock.monotonic() * SPEED,
  after: (millis, call) => systemClock.after(millis / SPEED, call),
}

const SETTINGS = { timeoutSeconds: 20, periodSeconds: 1, successThreshold: 1, failureThreshold: 1 }

for (const runtime of ['crun', 'runc'] as const) {
  describe(`health of pods under ${runtime}`, function () {
    this.timeout(60_000)
    let machine: RuntimeMachine
    let driver: OciDriver
    let pods: PodManager
    let reports: RecordedReports
    let group: RunGroup
    const state = { store: new MemoryState() }

    const file = (name: string): string => join(machine.rootfs, 'tmp', name)
    /** What was written, as far as it was: a file is there before its first byte. */
    const noted = (name: string): string => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '')
    const script = (text: string): string[] => ['/bin/sh', '-c', text]
    const exec = (text: string): Pick<Probe, 'exec'> => ({ exec: { command: script(text) } })
    const web = (text: string, fields: Partial<Container> = {}, spec: Partial<PodSpec> = {}): Pod =>
      makePod('web', {
        hostNetwork: true,
        ...spec,
        containers: [makeContainer('main', { command: script(text), ...fields })],
      })
    const status = () => reports.latest('web')?.status?.containerStatuses?.[0]
    const ready = (): boolean =>
      reports.latest('web')?.status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ===
      true
    const events = (reason: string): string[] =>
      reports.events.filter((event) => event.reason === reason).map(({ message }) => message!)
    const assign = (pod: Pod): void => pods.assign({ complete: true, set: [pod], removed: [], tokens: [] })
    const end = (pod: Pod, seconds: number): void =>
      assign({
        ...pod,
        metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: seconds },
      })
    /** Writes its pid and waits until it is told to end, which it notes. */
    const patient =
      'trap "date +%s.%N >> /tmp/term; echo term >> /tmp/order; exit 0" TERM; echo up >> /tmp/starts; while :; do sleep 0.05; done'

    async function start(): Promise<void> {
      const folders = new PodFolders(join(machine.directory, 'pods-state'), join(machine.directory, 'pods-run'))
      const random = seededRandom(1)
      group = new RunGroup()
      driver = machine.driver()
      await driver.start()
      pods = new PodManager({
        clock,
        random,
        log: silentLogger,
        group,
        runtime: driver,
        actions: new NodeHandlerRunner({ runtime: driver, version: '0' }),
        images: new BusyboxImages(machine.rootfs),
        folders,
        state: state.store,
        network: new NodeNetwork(new FakeNetwork()),
        volumes: new VolumeManager(folders),
        disk: new FilePodDisk(folders),
        objects: new AssignedObjects(),
        accounts: new ImageUserCache(),
        reports,
        events: new EventRecorder('n1', clock, random, (event) => reports.event(event)),
        node: {
          name: 'n1',
          hostname: 'n1',
          address: '127.0.0.1',
          allocatable: { cpu: '4', memory: '8Gi', pods: '10' },
          memoryCapacity: 8 * 2 ** 30,
          pidsLimit: 4096,
          seccompFolder: '/seccomp',
        },
        origin: { runtime, hostAddress: '127.0.0.1' },
      })
      await pods.start()
      await pods.welcome({
        podCidrs: ['10.1.0.0/24'],
        cluster: { podCidrs: ['10.1.0.0/16'], serviceCidrs: ['10.96.0.0/16'], domain: 'cluster.local' },
      })
    }

    async function stop(): Promise<void> {
      await pods.stop()
      await group.wait()
      await driver.stop()
    }

    beforeEach(async () => {
      machine = await RuntimeMachine.make(runtime)
      reports = new RecordedReports()
      state.store = new MemoryState()
      await start()
    })

    afterEach(async () => {
      pods.assign({ complete: true, set: [], removed: [], tokens: [] })
      await stop()
      await unmountUnder(machine.directory)
      await machine.cleanUp()
    })

    it('starts a container again whose command says that it lives no more', async () => {
      writeFileSync(file('live'), '')
      assign(
        web(patient, { livenessProbe: { ...SETTINGS, ...exec('[ -e /tmp/live ] || { echo no longer; exit 1; }') } }),
      )
      await until('it is ready', ready)
      await until('it waits for signals', () => noted('starts') === 'up\n')
      rmSync(file('live'))
      await until('it was asked to end', () => existsSync(file('order')))
      writeFileSync(file('live'), '')
      await until(
        'it is started again',
        () => status()?.restartCount === 1 && readFileSync(file('starts'), 'utf8') === 'up\nup\n',
      )
      assert.deepEqual(events('Killing'), ['Container main failed liveness probe, will be restarted'])
      assert.ok(
        events('Unhealthy').every((message) => message === 'Liveness probe failed: no longer'),
        events('Unhealthy').join(),
      )
    })

    it('is ready once its server answers, no longer once it does not, and goes on', async () => {
      const port = await freePort()
      const serve = `mkdir -p /tmp/www; touch /tmp/www/ok; until [ -e /tmp/serve ]; do sleep 0.05; done; exec busybox httpd -f -p 127.0.0.1:${port} -h /tmp/www`
      assign(
        web(serve, {
          ports: [{ name: 'http', containerPort: port, protocol: 'TCP' }],
          readinessProbe: { ...SETTINGS, httpGet: { port: 'http', path: '/ok', scheme: 'HTTP' } },
        }),
      )
      await until('it runs', () => status()?.state?.running !== undefined)
      await until('it is told that it is not ready', () => events('Unhealthy').length > 0)
      assert.match(
        events('Unhealthy')[0]!,
        new RegExp(`^Readiness probe failed: Get "http://127.0.0.1:${port}/ok": .*ECONNREFUSED`),
      )
      assert.equal(ready(), false)
      writeFileSync(file('serve'), '')
      await until('it is ready', ready)
      rmSync(join(machine.rootfs, 'tmp/www/ok'))
      await until('it is not ready', () => !ready())
      assert.ok(
        events('Unhealthy').some((message) =>
          message.startsWith('Readiness probe failed: HTTP probe failed with statuscode: 404'),
        ),
      )
      assert.equal(status()!.restartCount, 0)
    })

    it('gives a slow start its time before it asks whether the container lives', async () => {
      const slow = 'until [ -e /tmp/go ]; do sleep 0.05; done; exec sleep 1000'
      assign(
        web(slow, {
          startupProbe: { ...SETTINGS, failureThreshold: 60, ...exec('[ -e /tmp/go ]') },
          livenessProbe: { ...SETTINGS, ...exec('echo asked >> /tmp/asked') },
        }),
      )
      await until('its start was asked about', () => events('Unhealthy').length > 0)
      assert.deepEqual([status()!.started, existsSync(file('asked'))], [false, false])
      writeFileSync(file('go'), '')
      await until('it has started', () => status()!.started === true)
      await until('whether it lives is asked', () => existsSync(file('asked')))
      assert.equal(status()!.restartCount, 0)
    })

    it('kills a command that takes too long', async () => {
      assign(
        web(patient, {
          readinessProbe: { ...SETTINGS, timeoutSeconds: 1, ...exec('echo $$ > /tmp/stuck; exec sleep 1000') },
        }),
      )
      await until('it is told', () => events('Unhealthy').length > 0)
      assert.match(events('Unhealthy')[0]!, /^Readiness probe failed: command ".*" was ended: no answer within 1 s$/)
      await stop()
      const sleeping = await driverProcesses(machine)
      assert.equal(sleeping.filter((line) => line.includes('sleep 1000')).length, 0, sleeping.join('\n'))
      await start()
    })

    it('runs a postStart hook before the container counts as running', async () => {
      assign(
        web(patient, {
          lifecycle: { postStart: exec('echo begun > /tmp/hook; until [ -e /tmp/go ]; do sleep 0.05; done') },
        }),
      )
      await until('the hook runs', () => noted('hook') === 'begun\n')
      assert.equal(ready(), false)
      writeFileSync(file('go'), '')
      await until('it is ready', ready)
    })

    it('ends a container whose postStart hook fails', async () => {
      assign(
        web(patient, {
          lifecycle: {
            postStart: exec(
              'until [ -e /tmp/starts ]; do sleep 0.05; done; [ $(wc -l < /tmp/starts) -gt 1 ] || { echo too soon; exit 4; }',
            ),
          },
        }),
      )
      await until('it is ready', ready)
      assert.equal(status()!.restartCount, 1)
      assert.match(events('FailedPostStartHook')[0]!, /^PostStartHook failed: ".*" exited with 4: too soon$/)
    })

    it('sends SIGTERM after the preStop hook, once nobody sends it anything any more', async () => {
      const pod = web(patient, { lifecycle: { preStop: exec('echo hook >> /tmp/order') } })
      assign(pod)
      await until('it is ready', ready)
      await until('it waits for signals', () => noted('starts') === 'up\n')
      end(pod, 30)
      await until('the hook has run', () => noted('order') === 'hook\n')
      pods.endpointsDrained(['uid-web'])
      await until('it has ended', () => reports.latest('web')!.released)
      assert.equal(readFileSync(file('order'), 'utf8'), 'hook\nterm\n')
    })

    it('sends it within its time where nobody says so, and the signal that the pod asks for', async () => {
      const pod = web(patient.replace('" TERM', '" USR1'), { lifecycle: { stopSignal: 'SIGUSR1' } })
      assign(pod)
      await until('it is ready', ready)
      await until('it waits for signals', () => noted('starts') === 'up\n')
      const begun = clock.monotonic()
      end(pod, 60)
      await until('it has ended, long before its grace has', () => reports.latest('web')!.released)
      const took = clock.monotonic() - begun
      assert.ok(took >= ENDPOINT_DRAIN_TIMEOUT_MS, `it was sent after ${Math.round(took)} ms`)
      assert.equal(readFileSync(file('order'), 'utf8'), 'term\n')
    })

    it('stays ready while the agent is away, and runs no hook twice', async () => {
      const pod = web(patient, {
        readinessProbe: { ...SETTINGS, ...exec('[ ! -e /tmp/away ]') },
        lifecycle: { preStop: exec('echo hook >> /tmp/order; sleep 1000') },
      })
      assign(pod)
      await until('it is ready', ready)
      await until('it waits for signals', () => noted('starts') === 'up\n')
      await stop()
      await start()
      assert.equal(pods.observations()[0]!.status!.containerStatuses![0]!.ready, true)
      pods.endpointsDrained(['uid-web'])
      end(pod, 30)
      await until('the hook has begun', () => noted('order') === 'hook\n')
      await stop()
      await start()
      await until('it has ended', () => reports.latest('web')!.released)
      assert.equal(readFileSync(file('order'), 'utf8'), 'hook\nterm\n')
    })
  })
}

/** Command lines of what runs in the machine's control groups. */
async function driverProcesses(machine: RuntimeMachine): Promise<string[]> {
  return (await machine.processes()).map((pid) => readProcess(pid, 'cmdline')?.replaceAll('\0', ' ') ?? '')
}
