import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContainerRecord } from '../../agent/runtime/contract.ts'
import { Cgroups } from '../../agent/runtime/oci/cgroups.ts'
import type { OciDriver } from '../../agent/runtime/oci/driver.ts'
import { loadRecord, saveRecord, type ContainerEntry } from '../../agent/runtime/oci/records.ts'
import { ReadOnlyProgram } from '../../agent/runtime/oci/read-only-program.ts'
import { chooseRuntime } from '../../agent/runtime/oci/runtime-program.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { run } from '../../proto/base/command.ts'
import { RuntimeMachine } from '../agent/runtime/machine.ts'
import { containerSpec, sandboxSpec, seen } from '../contract/runtime.ts'

describe('OciDriver recovers', function () {
  this.timeout(60_000)
  let machine: RuntimeMachine
  let driver: OciDriver
  let exits: ContainerRecord[]

  const startDriver = async (change = {}): Promise<void> => {
    driver = machine.driver(change)
    exits = []
    driver.onExit((container) => exits.push(container))
    await driver.start()
  }
  const running = async (id: string): Promise<number> => {
    await driver.createSandbox(sandboxSpec('pod'))
    await driver.createContainer(containerSpec(machine, id, 'pod', ['/bin/sleep', '1000']))
    const state = await driver.startContainer(id)
    assert.ok(state.state === 'running')
    return state.pid
  }
  const bundle = (id: string): string => join(machine.directory, 'state/containers', id)
  const record = async (id: string): Promise<ContainerEntry> => (await loadRecord<ContainerEntry>(bundle(id)))!
  const change = async (id: string, phase: object): Promise<void> => {
    const entry = await record(id)
    saveRecord(bundle(id), { ...entry, phase: { ...entry.phase, ...phase } as ContainerEntry['phase'] })
  }
  const gone = (pid: number): Promise<true> =>
    seen(machine, `the end of ${pid}`, async () => ((await machine.processes()).includes(pid) ? undefined : true))

  beforeEach(async () => {
    machine = await RuntimeMachine.make('crun')
    await startDriver()
  })

  afterEach(async () => {
    await driver.stop()
    await machine.cleanUp()
  })

  it("puts conmon in a session of its own, so that the agent's end is not its", async () => {
    await running('a')
    const phase = (await record('a')).phase
    assert.ok(phase.phase === 'running')
    const { pid } = phase.conmon
    const [, , , session] = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ')
    assert.equal(Number(session), pid)
  })

  it('removes what a crash left half-made, running or not, and files that belong to nothing', async () => {
    const pid = await running('a')
    await change('a', { phase: 'creating' })
    await mkdir(bundle('torn'), { recursive: true })
    await writeFile(join(bundle('torn'), 'record.json'), '{"id":"to')
    await mkdir(join(machine.directory, 'state/sandboxes/half'), { recursive: true })
    await writeFile(join(machine.directory, 'state/exits/stray'), '0')
    await driver.stop()
    await startDriver()
    await gone(pid)
    assert.deepEqual((await driver.list()).containers, [])
    assert.deepEqual(await readdir(join(machine.directory, 'state/containers')), [])
    assert.deepEqual(await readdir(join(machine.directory, 'state/sandboxes')), ['pod'])
    assert.deepEqual(await readdir(join(machine.directory, 'state/exits')), [])
  })

  it('asks the runtime whether a container started when the record does not say', async () => {
    const pid = await running('a')
    await driver.createContainer(containerSpec(machine, 'b', 'pod', ['/bin/sleep', '1000']))
    await driver.stop()
    await change('a', { phase: 'starting', startedAt: 5 })
    await change('b', { phase: 'starting', startedAt: 6 })
    await startDriver()
    assert.deepEqual(await driver.containerState('a'), { state: 'running', pid, startedAt: 5 })
    assert.deepEqual(await driver.containerState('b'), { state: 'created' })
    assert.equal((await driver.startContainer('b')).state, 'running')
  })

  it('carries on with a start that was cut short after the container had been told to start', async () => {
    await driver.createSandbox(sandboxSpec('pod'))
    await driver.createContainer(containerSpec(machine, 'a', 'pod', ['/bin/sh', '-c', 'echo once; exec sleep 1000']))
    await driver.stop()
    const fifo = join(machine.directory, 'run/runtime/a/exec.fifo')
    await writeFile(fifo, '\0')
    await change('a', { phase: 'starting', startedAt: 5 })
    await startDriver()
    const state = await driver.startContainer('a')
    assert.equal(state.state, 'running')
    assert.equal(existsSync(fifo), false)
    await seen(machine, 'its output', async () => ((await machine.log('a')) === 'once\n' ? true : undefined))
    assert.equal((await driver.startContainer('a')).state, 'running')
    assert.equal(await machine.log('a'), 'once\n')
  })

  it('notices an end that conmon did not live to tell', async () => {
    const pid = await running('a')
    const phase = (await record('a')).phase
    assert.ok(phase.phase === 'running')
    process.kill(phase.conmon.pid, 'SIGKILL')
    await gone(phase.conmon.pid)
    assert.equal((await driver.containerState('a'))?.state, 'running')
    process.kill(pid, 'SIGKILL')
    await gone(pid)
    const state = await driver.containerState('a')
    assert.ok(state?.state === 'exited' && state.exitCode === 255)
    assert.deepEqual(
      exits.map(({ id }) => id),
      ['a'],
    )
    await driver.removeContainer('a')
  })

  it('removes a container whose conmon has died', async () => {
    const pid = await running('a')
    const phase = (await record('a')).phase
    assert.ok(phase.phase === 'running')
    process.kill(phase.conmon.pid, 'SIGKILL')
    await driver.removeContainer('a')
    await gone(pid)
    assert.deepEqual((await driver.list()).containers, [])
  })

  it("drops, after a reboot, sandboxes whose namespaces are gone, and tells of their containers' end", async () => {
    const pid = await running('a')
    await driver.stop()
    // What a reboot does: no process, no mount, no control group, no runtime state is left; only the records are.
    for (const process of await machine.processes()) await run('kill', ['-9', String(process)], { allow: [0, 1] })
    await gone(pid)
    await run('umount', await machine.mounts())
    await run('rm', ['-rf', join(machine.directory, 'run'), join(machine.directory, 'state/exits')])
    await (await Cgroups.detect(systemClock)).remove(machine.cgroupParent)
    await startDriver()
    assert.deepEqual(await driver.list(), { sandboxes: [], containers: [] })
    assert.deepEqual(
      exits.map(({ id, state }) => [id, state.state === 'exited' && state.exitCode]),
      [['a', 255]],
    )
    await running('a')
  })

  it('calls crun where nothing can write to it, mounted anew by each start', async () => {
    const program = join(machine.directory, 'run/crun')
    const mounted = async (): Promise<number> => (await machine.mounts()).filter((point) => point === program).length
    // Not by opening it: while a program runs that is the same file elsewhere, that is ETXTBSY before it is EROFS.
    await assert.rejects(utimes(program, 0, 0), { code: 'EROFS' })
    const killed = driver
    await startDriver()
    assert.equal(await mounted(), 1)
    await running('a')
    await killed.stop()
    await driver.stop()
    assert.equal(await mounted(), 0)
    await startDriver()
    assert.equal((await driver.containerState('a'))?.state, 'running')
  })

  it('leaves nothing once everything is removed', async () => {
    await driver.stop()
    await startDriver({ prepared: 2 })
    await driver.createSandbox(sandboxSpec('pod', { shareProcessNamespace: true }))
    await running('a')
    await driver.removeSandbox('pod')
    await driver.stop()
    assert.deepEqual(await machine.processes(), [])
    assert.deepEqual(await machine.mounts(), [])
    const state = join(machine.directory, 'state')
    assert.deepEqual(
      await Promise.all(['containers', 'sandboxes', 'exits'].map((name) => readdir(join(state, name)))),
      [[], [], []],
    )
    for (const name of ['s', 'runtime', 'exec']) {
      const left = (await readdir(join(machine.directory, 'run'))).includes(name)
        ? await readdir(join(machine.directory, 'run', name))
        : []
      assert.deepEqual(
        left.filter((entry) => entry !== '.cache'),
        [],
        name,
      ) // crun keeps compiled seccomp filters there
    }
    const { layout } = await Cgroups.detect(systemClock)
    for (const mount of layout.version === 2 ? [layout.mount] : layout.mounts) {
      const groups = await readdir(mount)
      const inside = groups.includes(machine.cgroupParent.slice(1))
        ? await readdir(join(mount, machine.cgroupParent))
        : []
      assert.ok(!inside.includes('podpod'), mount)
    }
  })

  it('takes sandboxes made ahead', async () => {
    await driver.stop()
    await startDriver({ prepared: 2 })
    const sandboxes = join(machine.directory, 'state/sandboxes')
    const ready = (): Promise<true> =>
      seen(
        machine,
        'two ready',
        async () => (await readdir(sandboxes)).filter((name) => name.startsWith('ready-')).length === 2 || undefined,
      )
    await ready()
    await running('a')
    assert.ok((await readdir(sandboxes)).includes('pod'))
    await ready()
  })

  it('ends a pod whose records are gone, and leaves other groups alone', async () => {
    await running('kept')
    await driver.stop()
    const cgroups = await Cgroups.detect(systemClock)
    const mount = cgroups.layout.version === 2 ? cgroups.layout.mount : cgroups.layout.controllers.get('pids')!
    const occupants = ['podlost/c', 'other'].map((name) => {
      cgroups.create(join(machine.cgroupParent, name), {
        cpuShares: 0,
        cpuQuotaMicros: 0,
        memoryLimit: 0,
        pidsLimit: 0,
      })
      return { name, child: spawn('sleep', ['1000'], { stdio: 'ignore' }) }
    })
    const ends = occupants.map(({ child }) => once(child, 'exit'))
    try {
      for (const { name, child } of occupants)
        await writeFile(join(mount, machine.cgroupParent, name, 'cgroup.procs'), String(child.pid))
      await startDriver()
      assert.deepEqual(await ends[0], [null, 'SIGKILL'])
      assert.deepEqual((await cgroups.below(machine.cgroupParent)).sort(), ['other', 'podpod'])
      assert.equal(occupants[1]!.child.exitCode ?? occupants[1]!.child.signalCode, null)
      assert.deepEqual(
        (await driver.list()).containers.map(({ id, state }) => [id, state.state]),
        [['kept', 'running']],
      )
    } finally {
      for (const { child } of occupants) child.kill('SIGKILL')
      await Promise.all(ends)
    }
  })

  it('refuses a parent group with processes where the kernel does', async () => {
    const cgroups = await Cgroups.detect(systemClock)
    const { layout } = cgroups
    const parent = `${machine.cgroupParent}/occupied`
    cgroups.create(parent, { cpuShares: 0, cpuQuotaMicros: 0, memoryLimit: 0, pidsLimit: 0 })
    const occupant = spawn('sleep', ['1000'], { stdio: 'ignore' })
    try {
      await writeFile(
        join(layout.version === 2 ? layout.mount : layout.controllers.get('pids')!, parent, 'cgroup.procs'),
        String(occupant.pid),
      )
      const start = async (): Promise<void> => {
        const inside = machine.driver({ cgroupParent: `${parent}/pods` })
        await inside.start()
        await inside.stop()
      }
      if (layout.version === 1) await start()
      else
        await assert.rejects(start, {
          code: 'FailedPrecondition',
          message: `control group ${join(layout.mount, parent)} has processes, so it can have no groups with limits below it`,
        })
    } finally {
      occupant.kill('SIGKILL')
      await once(occupant, 'exit')
    }
  })

  it('names the runtime that is missing', async () => {
    const { layout } = await Cgroups.detect(systemClock)
    const readOnly = new ReadOnlyProgram(machine.directory, run)
    const path = process.env.PATH
    process.env.PATH = machine.directory
    try {
      await assert.rejects(chooseRuntime('crun', layout, machine.directory, readOnly), {
        code: 'FailedPrecondition',
        message: /crun is not installed/,
      })
      await assert.rejects(chooseRuntime(undefined, layout, machine.directory, readOnly), {
        code: 'FailedPrecondition',
        message: /crun or runc/,
      })
    } finally {
      process.env.PATH = path
    }
  })
})
