/** What faults of machines and programs do to what runs there, on machines of the namespaces driver. */
import assert from 'node:assert/strict'
import { GantryError } from '../../proto/base/errors.ts'
import { run } from '../../proto/base/command.ts'
import { isAlive } from '../../proto/base/process.ts'
import { until } from '../eventually.ts'
import { RigLab } from './rig-lab.ts'

/** The command line, as a timer runs it. */
const PROGRAM = `${import.meta.dirname}/../../dist/gantry-rig.cjs`

describe('process faults', function () {
  this.timeout(60_000)
  let lab: RigLab

  before(async () => {
    lab = await RigLab.make('faults-processes', 2, { controller: true })
  })

  afterEach(() => lab.engine.heal())

  after(() => lab.remove())

  /** That the machine's program writes its heartbeat. */
  async function beats(name: string): Promise<void> {
    const before = await lab.beats(name)
    await until(`${name} beats`, async () => (await lab.beats(name)) > before + 1)
  }

  /** Beats of a machine that stands still: the same as when others have gone on for long. */
  async function standsStill(name: string, other: string): Promise<void> {
    const before = await lab.beats(name)
    const beside = await lab.beats(other)
    await until(`${other} goes on`, async () => (await lab.beats(other)) > beside + 10)
    assert.equal(await lab.beats(name), before)
  }

  /** The process of the machine's program, as the machine counts them. */
  async function program(name: string): Promise<string> {
    return (
      await lab.run(name, [
        'sh',
        '-c',
        'for p in /proc/[0-9]*; do tr "\\0" " " < "$p/cmdline" 2>/dev/null | grep -q "^/bin/sh -c while.*heartbeat" && basename "$p"; done',
      ])
    ).stdout.trim()
  }

  it('stop makes a machine stand still, cont lets it go on where it was', async () => {
    await beats('n1')
    const pid = await program('n1')
    await lab.engine.begin('stop', { target: 'n1' })
    await standsStill('n1', 'n2')
    await lab.engine.begin('cont', { target: 'n1' })
    await beats('n1')
    assert.equal(await program('n1'), pid)
    assert.deepEqual(await lab.engine.inForce(), [])
  })

  it('stop makes a program stand still and nothing else on its machine; two such end one by one', async () => {
    const pid = await program('n1')
    const first = await lab.engine.begin('stop', { target: 'n1/agent' })
    await lab.engine.begin('stop', { target: 'n1/agent' })
    await standsStill('n1', 'n2')
    assert.equal((await lab.ask('n2', 'n1')).answered, 3)
    await lab.engine.heal([first.id])
    await standsStill('n1', 'n2')
    await lab.engine.heal()
    await beats('n1')
    assert.equal(await program('n1'), pid)
  })

  it('kill of a program ends that process, and init starts it again', async () => {
    await beats('n1')
    const pid = await program('n1')
    const fault = await lab.engine.begin('kill', { target: 'n1/agent' })
    assert.notEqual(fault.ended, undefined)
    await until('another process', async () => !['', pid].includes(await program('n1')))
    await beats('n1')
  })

  it('a program that is held off stays away until then', async () => {
    await beats('n1')
    const first = await lab.engine.begin('kill', { target: 'n1/agent' }, { for: 60_000 })
    assert.equal(await program('n1'), '')
    await standsStill('n1', 'n2')
    await assert.rejects(
      lab.engine.begin('kill', { target: 'n1/agent' }),
      (error) => GantryError.is(error, 'FailedPrecondition') && /no agent runs on n1/.test(error.message),
    )
    await lab.engine.heal([first.id])
    await beats('n1')
  })

  it('a program that another one starts is held off too', async () => {
    await beats('controller')
    await lab.engine.begin('kill', { target: 'controller/etcd' })
    await beats('controller')
    const fault = await lab.engine.begin('kill', { target: 'controller/etcd' }, { for: 60_000 })
    await standsStill('controller', 'n1')
    await lab.engine.begin('reboot', { machine: 'controller' })
    await standsStill('controller', 'n1')
    await lab.engine.heal([fault.id])
    await beats('controller')
    assert.doesNotMatch(
      (await lab.run('controller', ['sh', '-c', 'cat /proc/[0-9]*/cmdline'])).stdout,
      /for process in/,
    )
  })

  it('a program that is held off stays away after a reboot', async () => {
    await lab.engine.begin('kill', { target: 'n1/agent' }, { for: 60_000 })
    await lab.engine.begin('reboot', { machine: 'n1' })
    await standsStill('n1', 'n2')
    assert.equal(await program('n1'), '')
    await lab.engine.heal()
    await beats('n1')
  })

  it('a stop of a program ends with its machine', async () => {
    await beats('n1')
    await lab.engine.begin('stop', { target: 'n1/agent' })
    await lab.engine.begin('reboot', { machine: 'n1' })
    await beats('n1')
    assert.deepEqual(await lab.engine.inForce(), [])
  })

  it('kill of a stopped program ends the stop with it', async () => {
    await lab.engine.begin('stop', { target: 'n1/agent' })
    await lab.engine.begin('kill', { target: 'n1/agent' })
    assert.deepEqual(await lab.engine.inForce(), [])
    await beats('n1')
  })

  it('kill of a machine ends everything on it, keeps what was written, and lasts until healed', async () => {
    await lab.run('n1', [
      'sh',
      '-c',
      'echo kept > "$0/kept"; echo lost > "$1/lost"',
      (await lab.machine('n1')).spec.stateDir,
      (await lab.machine('n1')).spec.runDir,
    ])
    await lab.engine.begin('kill', { target: 'n1' })
    assert.equal(await (await lab.machine('n1')).state(), 'off')
    assert.equal((await lab.open('n2', 'n1')).outcome, 'silence')
    await lab.engine.heal()
    await beats('n1')
    const { stateDir, runDir } = (await lab.machine('n1')).spec
    assert.equal((await lab.run('n1', ['cat', `${stateDir}/kept`])).stdout, 'kept\n')
    assert.equal((await lab.run('n1', ['ls', runDir])).stdout, '')
    await lab.stand('n1')
    assert.equal((await lab.ask('n2', 'n1')).answered, 3)
  })

  it('reboot starts the machine again at once', async () => {
    await beats('n1')
    const boot = async (): Promise<string> =>
      (await lab.run('n1', ['cut', '-d', ' ', '-f', '22', '/proc/1/stat'])).stdout // when its init started
    const before = await boot()
    await lab.engine.begin('reboot', { machine: 'n1' })
    assert.notEqual(await boot(), before)
    await beats('n1')
  })

  it('power-off loses what was not synced, and keeps what was', async function () {
    if (!lab.driver.capabilities.powerLoss)
      return assert.rejects(lab.engine.begin('power-off', { machine: 'n1' }), { code: 'FailedPrecondition' })
    const { stateDir } = (await lab.machine('n1')).spec
    await lab.run('n1', [
      'sh',
      '-c',
      'echo synced > "$0/synced" && sync "$0/synced" "$0" && echo not > "$0/not-synced"',
      stateDir,
    ])
    await lab.engine.begin('power-off', { machine: 'n1' })
    assert.equal(await (await lab.machine('n1')).state(), 'off')
    await lab.engine.heal()
    await beats('n1')
    assert.equal((await lab.run('n1', ['cat', `${stateDir}/synced`])).stdout, 'synced\n')
    assert.notEqual((await lab.run('n1', ['cat', `${stateDir}/not-synced`])).stdout, 'not\n')
  })

  it('a stopped machine that is killed is stopped when it starts', async () => {
    await lab.engine.begin('stop', { target: 'n1' })
    const kill = await lab.engine.begin('kill', { target: 'n1' })
    await lab.engine.heal([kill.id])
    await standsStill('n1', 'n2')
    await lab.engine.heal()
    await beats('n1')
  })

  it('a program that runs elsewhere, and a pod that has no container here, are named', async () => {
    await assert.rejects(
      lab.engine.begin('kill', { target: 'n1/etcd' }),
      (error) => GantryError.is(error, 'InvalidArgument') && /n1 has no program "etcd"/.test(error.message),
    )
    await assert.rejects(
      lab.engine.begin('kill', { target: 'n1/shim:web' }),
      (error) => GantryError.is(error, 'NotFound') && /no container of a pod "web" runs on n1/.test(error.message),
    )
    assert.deepEqual(await lab.engine.inForce(), [])
  })

  it('kill of a shim ends those of its pod alone, known by its name or its uid', async () => {
    const machine = await lab.machine('n1')
    const shims = [
      ['web-1', 'uid-1'],
      ['web-2', 'uid-2'],
      ['web-3', 'uid-3'],
    ] as const
    for (const [pod, uid] of shims) {
      const bundle = `${machine.spec.stateDir}/${uid}`
      await lab.run('n1', [
        'sh',
        '-c',
        'mkdir "$0" && printf %s "$1" > "$0/config.json"',
        bundle,
        JSON.stringify({ hostname: pod }),
      ])
      // Called as the agent calls conmon; what it does beside being there does not matter.
      await machine.startProgram([
        'perl',
        '-e',
        'exec { "perl" } "/usr/bin/conmon", "-e", "sleep 300", "--", @ARGV',
        '--',
        '--bundle',
        bundle,
        '--log-path',
        `k8s-file:/logs/${uid}/main/0.log`,
      ])
    }
    const left = async (): Promise<string[]> => {
      const { stdout } = await lab.run('n1', ['sh', '-c', 'cat /proc/[0-9]*/cmdline'])
      return shims
        .map(([pod]) => pod)
        .filter((_, place) => new RegExp(`conmon[^/]*--bundle\0[^\0]*/${shims[place]![1]}\0`).test(stdout))
    }
    await until('all are there', async () => (await left()).length === 3)
    await lab.engine.begin('kill', { target: 'n1/shim:web-2' })
    assert.deepEqual(await left(), ['web-1', 'web-3'])
    await lab.engine.begin('kill', { target: 'n1/shim:uid-1' })
    assert.deepEqual(await left(), ['web-3'])
    await assert.rejects(
      lab.engine.begin('kill', { target: 'n1/shim:web-3' }, { for: 1_000 }),
      /a shim cannot be held off/,
    )
    await lab.engine.begin('kill', { target: 'n1/shim:web-3' })
    assert.deepEqual(await left(), [])
  })

  it('a fault with an end ends by itself, though the process that began it is gone', async () => {
    const { stdout } = await run(process.execPath, [PROGRAM, 'stop', 'n1', '--for', '3s', '--rig', lab.rig])
    assert.match(
      stdout,
      /^f\d+: n1 stopped\n {4}ends by itself in 3s, at \d\d:\d\d:\d\d UTC; `gantry rig heal --rig faults-processes f\d+` ends it earlier\n$/,
    )
    assert.deepEqual(
      (await lab.engine.inForce()).map(({ description }) => description),
      ['n1 stopped'],
    )
    await standsStill('n1', 'n2')
    await until('it is over', async () => (await lab.engine.inForce()).length === 0)
    await beats('n1')
  })

  it('the timer of a fault ends with it', async () => {
    const { timer, id } = await lab.engine.begin('stop', { target: 'n1' }, { for: 60_000 })
    assert.ok(isAlive(timer!))
    await run(process.execPath, [PROGRAM, 'heal', '--rig', lab.rig, id])
    await until('the timer is gone', () => !isAlive(timer!))
    await beats('n1')
  })

  it('two processes that begin and heal at once do not lose what the other did', async () => {
    const begin = (): Promise<unknown> => run(process.execPath, [PROGRAM, 'stop', 'n1', '--rig', lab.rig])
    await Promise.all([begin(), begin(), lab.engine.begin('stop', { target: 'n1' })])
    const inForce = await lab.engine.inForce()
    assert.equal(new Set(inForce.map(({ id }) => id)).size, 3)
    await Promise.all([
      run(process.execPath, [PROGRAM, 'heal', '--rig', lab.rig, inForce[0]!.id]),
      lab.engine.heal([inForce[1]!.id, inForce[2]!.id]),
    ])
    assert.deepEqual(await lab.engine.inForce(), [])
    await beats('n1')
  })
})
