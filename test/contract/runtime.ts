/** What every runtime driver does: the suite of agent/runtime/contract.ts. */
import assert from 'node:assert/strict'
import {
  START_FAILURE_FIELD,
  type ContainerRecord,
  type ContainerSpec,
  type ContainerState,
  type ExecRequest,
  type RuntimeDriver,
  type SandboxSpec,
} from '../../agent/runtime/contract.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { Channel } from '../../proto/base/channel.ts'
import { systemClock } from '../../proto/base/clock.ts'

export interface RuntimeSubject {
  /** A driver over what is there, not started: called again for the agent's next life. */
  driver(): RuntimeDriver
  /** Commands that do what their name says. */
  readonly commands: {
    readonly runs: readonly string[]
    readonly ignoresSigterm: readonly string[]
    readonly exitsWith3: readonly string[]
    readonly missing: readonly string[]
    readonly notExecutable: readonly string[]
  }
  readonly rootfs: string
  readonly logPath: (id: string) => string
  /** Kills a container's first process without the driver. */
  readonly kill: (pid: number) => void
  /** Lets some time pass for what goes on by itself. */
  pass(): Promise<void>
  /** Removes everything, whatever the test left. */
  cleanUp(): Promise<void>
}

const MEBIBYTE = 2 ** 20
const NO_LIMITS = { cpuShares: 0, cpuQuotaMicros: 0, memoryLimit: 0, pidsLimit: 0 }

export function sandboxSpec(id: string, change: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    id,
    hostname: id,
    network: undefined,
    hostPid: false,
    hostIpc: false,
    shareProcessNamespace: false,
    sysctls: {},
    resources: NO_LIMITS,
    ...change,
  }
}

export function containerSpec(
  subject: Pick<RuntimeSubject, 'rootfs' | 'logPath'>,
  id: string,
  sandboxId: string,
  args: readonly string[],
  change: Partial<ContainerSpec> = {},
): ContainerSpec {
  return {
    id,
    sandboxId,
    rootfs: subject.rootfs,
    args,
    env: [],
    cwd: '/',
    user: { uid: 0, gid: 0, additionalGids: [] },
    mounts: [],
    resources: NO_LIMITS,
    oomScoreAdj: 0,
    privileged: false,
    readOnlyRootfs: false,
    allowPrivilegeEscalation: true,
    capabilities: { add: [], drop: [] },
    seccomp: { type: 'RuntimeDefault' },
    unmaskedProc: false,
    tty: false,
    stdin: false,
    logPath: subject.logPath(id),
    ...change,
  }
}

/** Waits until `look` gives something, letting time pass for the subject. */
export async function seen<T>(
  subject: Pick<RuntimeSubject, 'pass'>,
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = systemClock.monotonic() + 30_000
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (systemClock.monotonic() > deadline) assert.fail(`never saw ${what}`)
    await subject.pass()
  }
}

export function execRequest(
  command: readonly string[],
  output: (stream: 'stdout' | 'stderr', chunk: Uint8Array) => void = () => undefined,
  change: Partial<ExecRequest> = {},
): ExecRequest {
  return { command, tty: false, stdin: undefined, resizes: new Channel(), output, ...change }
}

type Exited = Extract<ContainerState, { state: 'exited' }>

export function runtimeSuite(name: string, make: () => Promise<RuntimeSubject>): void {
  describe(`runtime driver: ${name}`, function () {
    this.timeout(60_000)
    let subject: RuntimeSubject
    let driver: RuntimeDriver
    let exits: ContainerRecord[]

    beforeEach(async () => {
      subject = await make()
      driver = subject.driver()
      exits = []
      driver.onExit((container) => exits.push(container))
      await driver.start()
    })

    afterEach(async () => {
      await driver.stop()
      await subject.cleanUp()
    })

    const running = async (
      id: string,
      args = subject.commands.runs,
    ): Promise<Extract<ContainerState, { state: 'running' }>> => {
      await driver.createSandbox(sandboxSpec(`pod-${id}`))
      await driver.createContainer(containerSpec(subject, id, `pod-${id}`, args))
      const state = await driver.startContainer(id)
      assert.equal(state.state, 'running')
      return state as Extract<ContainerState, { state: 'running' }>
    }
    const exited = (id: string): Promise<Exited> =>
      seen(subject, `${id} exited`, async () => {
        const state = await driver.containerState(id)
        return state?.state === 'exited' ? state : undefined
      })
    const restart = async (): Promise<void> => {
      await driver.stop()
      driver = subject.driver()
      exits = []
      driver.onExit((container) => exits.push(container))
      await driver.start()
    }

    it('takes a container from created over running to exited, and tells once', async () => {
      await driver.createSandbox(sandboxSpec('pod'))
      await driver.createContainer(containerSpec(subject, 'c', 'pod', subject.commands.exitsWith3))
      assert.deepEqual(await driver.containerState('c'), { state: 'created' })
      const started = await driver.startContainer('c')
      assert.equal(started.state, 'running')
      const end = await exited('c')
      assert.deepEqual(
        { exitCode: end.exitCode, signal: end.signal, oomKilled: end.oomKilled },
        { exitCode: 3, signal: undefined, oomKilled: false },
      )
      assert.ok(end.finishedAt >= end.startedAt && end.startedAt > 0)
      assert.deepEqual(exits, [{ id: 'c', sandboxId: 'pod', state: end }])
      await driver.killContainer('c', 'SIGKILL')
      assert.equal(exits.length, 1)
    })

    it('lists what there is, and nothing once it is removed', async () => {
      await running('a')
      const { sandboxes, containers } = await driver.list()
      assert.deepEqual(
        sandboxes.map(({ id }) => id),
        ['pod-a'],
      )
      assert.deepEqual(
        containers.map(({ id, sandboxId, state }) => [id, sandboxId, state.state]),
        [['a', 'pod-a', 'running']],
      )
      await driver.removeContainer('a')
      assert.equal(await driver.containerState('a'), undefined)
      await driver.removeSandbox('pod-a')
      assert.deepEqual(await driver.list(), { sandboxes: [], containers: [] })
    })

    it('does each verb again without harm', async () => {
      const first = await driver.createSandbox(sandboxSpec('pod-a'))
      assert.deepEqual(await driver.createSandbox(sandboxSpec('pod-a')), first)
      const state = await running('a')
      await driver.createContainer(containerSpec(subject, 'a', 'pod-a', subject.commands.runs))
      assert.deepEqual(await driver.startContainer('a'), state)
      await driver.removeContainer('a')
      await driver.removeContainer('a')
      await driver.removeSandbox('pod-a')
      await driver.removeSandbox('pod-a')
    })

    it('removes a sandbox with what still runs in it', async () => {
      await running('a')
      await driver.removeSandbox('pod-a')
      assert.deepEqual(await driver.list(), { sandboxes: [], containers: [] })
    })

    it('ends a container by a signal, by name or number', async () => {
      await running('a', subject.commands.ignoresSigterm)
      await driver.killContainer('a', 'SIGTERM')
      await driver.killContainer('a', '9')
      const end = await exited('a')
      assert.deepEqual([end.exitCode, end.signal], [137, 9])
      await assert.rejects(driver.killContainer('a', 'SIGNONSENSE'), { code: 'InvalidArgument' })
    })

    it('says what is wrong with a command, and leaves nothing of it', async () => {
      await driver.createSandbox(sandboxSpec('pod'))
      for (const [args, code, exitCode] of [
        [subject.commands.missing, 'NotFound', '127'],
        [subject.commands.notExecutable, 'FailedPrecondition', '126'],
      ] as const) {
        const create = async (): Promise<void> => {
          await driver.createContainer(containerSpec(subject, 'bad', 'pod', args))
          await driver.startContainer('bad')
        }
        await assert.rejects(create(), (error) => {
          assert.ok(error instanceof GantryError, String(error))
          assert.deepEqual(
            [error.code, error.details[0]?.field, error.details[0]?.value],
            [code, START_FAILURE_FIELD, exitCode],
            error.message,
          )
          assert.ok(error.message.includes(args[0]!))
          return true
        })
        assert.deepEqual((await driver.list()).containers, [])
      }
      await driver.createContainer(containerSpec(subject, 'bad', 'pod', subject.commands.runs))
      assert.equal((await driver.startContainer('bad')).state, 'running')
    })

    it('refuses what it does not know', async () => {
      await assert.rejects(driver.createContainer(containerSpec(subject, 'a', 'nowhere', subject.commands.runs)), {
        code: 'NotFound',
      })
      await assert.rejects(driver.startContainer('nobody'), { code: 'NotFound' })
      await assert.rejects(driver.killContainer('nobody', 'SIGTERM'), { code: 'NotFound' })
      await assert.rejects(driver.exec('nobody', execRequest(['x']), new AbortController().signal), {
        code: 'NotFound',
      })
      await assert.rejects(driver.updateContainer('nobody', NO_LIMITS), { code: 'NotFound' })
      await assert.rejects(driver.updateSandbox('nowhere', NO_LIMITS), { code: 'NotFound' })
      assert.equal(await driver.containerState('nobody'), undefined)
      assert.equal(await driver.stats('nobody'), undefined)
    })

    it('finds running containers as they were after a restart of the agent', async () => {
      const state = await running('a')
      const before = await driver.list()
      await restart()
      assert.deepEqual(await driver.list(), before)
      assert.deepEqual(await driver.containerState('a'), state)
      assert.deepEqual(await driver.createSandbox(sandboxSpec('pod-a')), before.sandboxes[0])
      await driver.killContainer('a', 'SIGKILL')
      assert.equal((await exited('a')).exitCode, 137)
      assert.equal(exits.length, 1)
    })

    it('tells after a restart of what ended meanwhile', async () => {
      const state = await running('a', subject.commands.ignoresSigterm)
      const { pid } = await running('b')
      await driver.stop()
      subject.kill(pid)
      driver = subject.driver()
      exits = []
      await driver.start()
      await exited('b')
      driver.onExit((container) => exits.push(container))
      await seen(subject, 'the exit told', () => exits[0])
      assert.deepEqual(
        exits.map(({ id, state: end }) => [id, end.state === 'exited' && end.exitCode]),
        [['b', 137]],
      )
      assert.deepEqual(await driver.containerState('a'), state)
    })

    it('refuses work while it is not started', async () => {
      await driver.stop()
      await assert.rejects(async () => driver.createSandbox(sandboxSpec('pod')), { code: 'FailedPrecondition' })
      await assert.rejects(async () => driver.list(), { code: 'FailedPrecondition' })
      await driver.start()
    })

    it('runs a command in a running container only', async () => {
      await driver.createSandbox(sandboxSpec('pod'))
      await driver.createContainer(containerSpec(subject, 'c', 'pod', subject.commands.runs))
      await assert.rejects(driver.exec('c', execRequest(['echo']), new AbortController().signal), {
        code: 'FailedPrecondition',
      })
      await driver.startContainer('c')
      let output = ''
      const { exitCode } = await driver.exec(
        'c',
        execRequest(['echo', 'hello'], (_, chunk) => (output += Buffer.from(chunk).toString())),
        new AbortController().signal,
      )
      assert.equal(exitCode, 0)
      assert.match(output, /hello/)
      await assert.rejects(driver.exec('c', execRequest(['echo']), AbortSignal.abort()), { code: 'Cancelled' })
    })

    it('takes input for a running container that was made for it', async () => {
      await driver.createSandbox(sandboxSpec('s'))
      await driver.createContainer(containerSpec(subject, 'with', 's', subject.commands.runs, { stdin: true }))
      await driver.createContainer(containerSpec(subject, 'without', 's', subject.commands.runs))
      await assert.rejects(driver.openInput('with'), (error) => GantryError.is(error, 'FailedPrecondition'))
      for (const id of ['with', 'without']) await driver.startContainer(id)
      await assert.rejects(
        driver.openInput('without'),
        (error) => GantryError.is(error, 'FailedPrecondition') && error.message.includes('no standard input'),
      )
      await assert.rejects(driver.openInput('nobody'), (error) => GantryError.is(error, 'NotFound'))
      const inputs = await Promise.all([driver.openInput('with'), driver.openInput('with')])
      for (const input of inputs) await input.write(Buffer.from('x\n'))
      await driver.killContainer('with', 'SIGKILL')
      await seen(subject, 'the end', () => exits.find(({ id }) => id === 'with'))
      await inputs[0]!.write(Buffer.from('to nobody\n'))
      for (const input of inputs) await input.close()
      await driver.resizeTerminal('without', { width: 80, height: 24 })
    })

    it('changes what a running container may use, again and again', async () => {
      await running('a')
      for (const resources of [
        { cpuShares: 512, cpuQuotaMicros: 50_000, memoryLimit: 64 * MEBIBYTE, pidsLimit: 100 },
        { cpuShares: 256, cpuQuotaMicros: 20_000, memoryLimit: 32 * MEBIBYTE, pidsLimit: 50 },
        NO_LIMITS,
      ]) {
        await driver.updateSandbox('pod-a', NO_LIMITS)
        await driver.updateContainer('a', resources)
        await driver.updateSandbox('pod-a', resources)
      }
      assert.equal((await driver.containerState('a'))?.state, 'running')
    })

    it('lets a container join the processes of another, as long as that runs', async () => {
      await running('a')
      await driver.createContainer(
        containerSpec(subject, 'guest', 'pod-a', subject.commands.runs, { pidNamespaceOf: 'a' }),
      )
      assert.equal((await driver.startContainer('guest')).state, 'running')
      await driver.killContainer('a', 'SIGKILL')
      await exited('a')
      await assert.rejects(
        driver.createContainer(containerSpec(subject, 'late', 'pod-a', subject.commands.runs, { pidNamespaceOf: 'a' })),
        { code: 'FailedPrecondition' },
      )
      assert.deepEqual((await driver.list()).containers.map(({ id }) => id).sort(), ['a', 'guest'])
    })

    it('counts what a running container uses', async () => {
      await running('a')
      const stats = await driver.stats('a')
      assert.ok(
        stats !== undefined && stats.processes >= 1 && stats.memoryPeak >= stats.memory && stats.memory > 0,
        JSON.stringify(stats),
      )
    })
  })
}
