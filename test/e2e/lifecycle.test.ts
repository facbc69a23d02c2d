/** `up` and `down` as a person runs them: nothing of the rig is left behind, whatever happened in between. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rigDirectory, type RigRecord } from '../../deploy/rig/rig-record.ts'
import { readContexts } from '../../proto/client/context.ts'
import { run, type CommandResult } from '../../proto/base/command.ts'
import { identify, isAlive, type ProcessIdentity } from '../../proto/base/process.ts'
import { eventually } from '../eventually.ts'
import { rigName, ROOT } from './cluster.ts'
import { footprintOf, marks } from './footprint.ts'

const NAME = rigName('lifecycle')
const PROGRAM = join(ROOT, 'dist/gantry-rig.cjs')

describe('up and down', function () {
  this.timeout(120_000)
  let home: string
  /** The host's setting; undefined while other rigs are there, who change it, too. */
  let forwarding: string | undefined
  const environment = (): NodeJS.ProcessEnv => ({
    ...process.env,
    GANTRY_CONFIG: join(home, 'config.yaml'),
    NO_COLOR: '1',
  })
  const rig = (...args: string[]): Promise<CommandResult> =>
    run(process.execPath, [PROGRAM, ...args], { timeout: 100_000, env: environment(), allow: [0, 1, 2, 3, 4, 7] })
  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await rig(...args)
    assert.equal(code, 0, `gantry rig ${args.join(' ')}: ${stderr}`)
    return stdout
  }
  /** One in the background: the process, its output so far, its end. */
  const begin = (...args: string[]): { child: ChildProcess; said: () => string; ended: Promise<number | null> } => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: environment() })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
    return { child, said: () => text, ended: new Promise((resolve) => child.on('close', resolve)) }
  }
  const record = (): RigRecord | undefined => {
    const file = join(rigDirectory(NAME), 'rig.json')
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as RigRecord) : undefined
  }
  const nothingLeft = async (): Promise<void> => {
    assert.deepEqual(marks(await footprintOf(NAME)), [], JSON.stringify(await footprintOf(NAME)))
    assert.deepEqual((await readContexts(join(home, 'config.yaml'))).contexts, [])
    const now = forwardingOfHost()
    if (forwarding !== undefined && now !== undefined) assert.equal(now, forwarding)
  }

  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'gantry-lifecycle-'))
    forwarding = forwardingOfHost()
  })

  afterEach(async () => {
    // Most tests leave nothing, and a program that finds that takes as long as one that removes something.
    if (existsSync(rigDirectory(NAME))) await rig('down', NAME)
    rmSync(home, { recursive: true })
  })

  it('starts the demo, finds the running cluster, and leaves nothing', async () => {
    const first = await ok('up', NAME, '--nodes', '1', '--demo')
    assert.match(first, /1 controller, 1 node,/)
    assert.equal(first.match(/^hello-\S+ +Running +\S+ +n1$/gm)?.length, 3)
    const up = await footprintOf(NAME)
    assert.deepEqual(
      marks(up).sort(),
      ['cgroups', 'files', 'interfaces', 'loops', 'processes', 'routes', 'tables'].filter(
        (name) => name !== 'loops' || up.loops.length > 0,
      ),
    )
    assert.equal((await readContexts(join(home, 'config.yaml'))).currentContext, NAME)
    const second = await ok('up', NAME, '--nodes', '2', '--demo')
    assert.match(second, /already running, with 1 node\.\nFor another number of nodes/)
    assert.doesNotMatch(second, /hello/)
    assert.match(await ok('up', NAME, '--demo', '--again'), /deployment\.apps\/hello unchanged/)
    assert.match(await ok('list'), new RegExp(`^${NAME} +namespaces +1 +1 +running `, 'm'))
    assert.match(await ok('down', NAME), /is gone/)
    await nothingLeft()
    assert.match(await ok('down', NAME), /There is no rig/)
  })

  it('tells of machines, programs and faults; nodes come and go', async () => {
    await ok('up', NAME, '--nodes', '2', '--no-context')
    assert.deepEqual((await readContexts(join(home, 'config.yaml'))).contexts, [])
    assert.match(await ok('node', 'add', '--rig', NAME), /^n3 is added, at 10\.87\.\d+\.13$/m)
    assert.match(await ok('node', 'remove', 'n1', '--rig', NAME), /^n1 is removed$/m)
    assert.match(
      (await rig('node', 'remove', 'registry', '--rig', NAME)).stderr,
      /"registry" is a registry, not a node/,
    )
    assert.equal((await ok('shell', 'n3', '--rig', NAME, '--', 'hostname')).trim(), 'n3')
    assert.equal((await rig('shell', 'n2', '--rig', NAME, '--', 'sh', '-c', 'exit 7')).code, 7)
    await ok('kill', 'n2', '--rig', NAME)
    const table = await ok('status', NAME)
    assert.match(
      table,
      /^controller +controller +\S+ +running +- +\d+Mi +controller \(pid \d+, \d+s\), etcd \(.*\), nats \(.*\)$/m,
    )
    assert.match(table, /^n2 +node +\S+ +off /m)
    assert.match(table, /^n3 +node +\S+ +running +Ready +\d+Mi +agent /m)
    assert.match(table, /^f1 +kill +\S+ \(\d+s\) +healed +n2 killed$/m)
    const status = JSON.parse(await ok('status', NAME, '-o', 'json')) as {
      machines: { name: string; state: string }[]
      faults: { id: string }[]
    }
    assert.deepEqual(
      status.machines.map(({ name, state }) => `${name} ${state}`),
      ['controller running', 'n2 off', 'n3 running', 'registry running'],
    )
    assert.deepEqual(
      status.faults.map(({ id }) => id),
      ['f1'],
    )
    await ok('heal', '--rig', NAME)
    assert.match(await ok('status', NAME), /No fault is in force\.[\s\S]*^f1 +kill /m)
    await ok('down', NAME)
    await nothingLeft()
  })

  it('is removed by the next command when its `up` was killed half-way', async () => {
    const { child, ended } = begin('up', NAME, '--nodes', '2')
    await eventually(() => (record()?.machines.length ?? 0) >= 2)
    child.kill('SIGKILL')
    await ended
    const { stderr } = await rig('list')
    assert.match(stderr, new RegExp(`removed the rig "${NAME}": process \\d+ ended while making it`))
    await nothingLeft()
  })

  for (const [signal, machines] of [
    ['SIGINT', 0],
    ['SIGTERM', 2],
  ] as const) {
    it(`leaves nothing when interrupted by ${signal} after ${machines} machines`, async () => {
      const { child, said, ended } = begin('up', NAME, '--nodes', '2')
      await eventually(() => record() !== undefined && record()!.machines.length >= machines)
      child.kill(signal)
      assert.equal(await ended, 130, said())
      assert.match(said(), /interrupted; what was made is removed/)
      await nothingLeft()
    })
  }

  it('of two at once refuses the second', async () => {
    const first = begin('up', NAME, '--nodes', '1')
    await eventually(() => record() !== undefined)
    const { code, stderr } = await rig('up', NAME, '--nodes', '1')
    assert.equal(code, 1)
    assert.match(
      stderr,
      new RegExp(`there is a rig "${NAME}" already, which process ${first.child.pid} is making; wait for that`),
    )
    const early = await rig('down', NAME)
    assert.match(early.stderr, new RegExp(`process ${first.child.pid} is making the rig`))
    assert.equal(await first.ended, 0, first.said())
  })

  it('ends an ephemeral one with its process, killed or interrupted', async () => {
    for (const [signal, exit] of [
      ['SIGKILL', null],
      ['SIGINT', 0],
    ] as const) {
      const { child, said, ended } = begin('up', NAME, '--nodes', '1', '--ephemeral')
      await eventually(() => said().includes('Next:'), 60_000)
      assert.match(await ok('list'), new RegExp(`^${NAME} .* process ${child.pid}$`, 'm'))
      child.kill(signal)
      assert.equal(await ended, exit)
      await eventually(async () => marks(await footprintOf(NAME)).length === 0)
      await nothingLeft()
    }
  })

  it('is made anew when every machine has ended, as after a restart of the host', async () => {
    await ok('up', NAME, '--nodes', '1')
    for (const { handle } of record()!.machines)
      process.kill((handle as unknown as { init: ProcessIdentity }).init.pid, 'SIGKILL')
    await eventually(async () => new RegExp(`^${NAME} .* off `, 'm').test(await ok('list')))
    const { code, stderr, stdout } = await rig('up', NAME, '--nodes', '1')
    assert.equal(code, 0, stderr)
    assert.match(stderr, /had every machine off; it is made anew/)
    assert.match(stdout, /1 controller, 1 node/)
    await ok('down', NAME)
    await nothingLeft()
  })

  it('is removed with all that there is of it when its record was cut off', async () => {
    await ok('up', NAME, '--nodes', '1')
    await ok('partition', 'n1', '--for', '60s', '--rig', NAME)
    await ok('stop', 'n1', '--rig', NAME)
    const file = join(rigDirectory(NAME), 'rig.json')
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, 500))
    assert.match(await ok('list'), new RegExp(`^${NAME} .* unreadable `, 'm'))
    assert.match(await ok('down', NAME), /is gone/)
    await eventually(async () => marks(await footprintOf(NAME)).length === 0)
    await nothingLeft()
  })

  it('lets nothing come into being beside its end: faults at work, two ends at once', async () => {
    await ok('up', NAME, '--nodes', '2')
    const faults = [begin('reboot', 'n1', '--rig', NAME), begin('memory', 'n2', '16Mi', '--for', '60s', '--rig', NAME)]
    await eventually(() => record()!.faults.length > 0)
    await Promise.all([ok('down', NAME), ok('down', NAME)])
    await Promise.all(faults.map(({ ended }) => ended))
    await nothingLeft()
  })

  it('loses the nodes that a process was adding when it was killed', async () => {
    await ok('up', NAME, '--nodes', '1')
    const { child, ended } = begin('node', 'add', '--rig', NAME)
    await eventually(() => record()!.machines.some(({ spec }) => spec.name === 'n2'))
    child.kill('SIGKILL')
    await ended
    assert.match(
      (await rig('list')).stderr,
      new RegExp(`removed n2 from the rig "${NAME}": the process that was adding it has ended`),
    )
    assert.ok(!record()!.machines.some(({ spec }) => spec.name === 'n2'))
    assert.match(await ok('node', 'add', '--rig', NAME), /^n2 is added/m)
    await ok('down', NAME)
    await nothingLeft()
  })

  it('tells the last lines of the logs when it does not come up, and leaves nothing', async () => {
    const { code, stderr } = await rig('up', NAME, '--nodes', '1', '--etcd', 'http://127.0.0.1:1', '--timeout', '6s')
    assert.equal(code, 4)
    assert.match(
      stderr,
      /after 6 s no controller answers: [\s\S]*^controller: the end of its log:\n {2}\d\d:\d\d:\d\d\.\d{3} \w+ /m,
    )
    await nothingLeft()
  })

  it('removes a rig of an older version, and says so when it is in the way', async () => {
    const machine = spawn('sleep', ['1000'], { stdio: 'ignore' })
    const ended = new Promise((resolve) => machine.on('exit', resolve))
    const init = await eventually(() => identify(machine.pid!) ?? false)
    const directory = rigDirectory(NAME)
    mkdirSync(join(directory, 'n1'), { recursive: true })
    writeFileSync(
      join(directory, 'rig.json'),
      JSON.stringify({
        name: NAME,
        nodes: 1,
        ready: true,
        forwardingBefore: '1',
        network: {
          bridge: 'gantry-rig255',
          prefix: '10.87.255',
          table: `gantry_rig_${NAME.replaceAll('-', '_')}`,
          owner: `gantry-rig:${NAME}`,
        },
        machines: [
          {
            spec: {
              name: 'n1',
              address: '10.87.255.11',
              cable: 'gr255-n1',
              cgroup: `gantry-rig/${NAME}/n1`,
              log: join(directory, 'n1/log'),
              command: ['sleep', '1000'],
            },
            holder: init,
            init,
          },
        ],
      }),
    )
    assert.match(await ok('list'), new RegExp(`^${NAME} +- +0 +0 +other version `, 'm'))
    for (const verb of [
      ['up', NAME],
      ['status', NAME],
    ]) {
      assert.match(
        (await rig(...verb)).stderr,
        new RegExp(`made by an older version of Gantry; \`gantry rig down ${NAME}\` removes it`),
      )
    }
    assert.ok(isAlive(init))
    assert.match(await ok('down', NAME), /is gone/)
    await ended
    await nothingLeft()
  })

  const refused: [string[], number, RegExp][] = [
    [['up', NAME, '--nodes', 'many'], 2, /--nodes is a whole number/],
    [['up', NAME, '--nodes', '201'], 1, /200 at most: a rig's network is a \/24/],
    [['up', NAME, '--controllers', '2'], 1, /1, 3 or 5/],
    [['up', 'No_Name'], 1, /lower-case letters/],
    [['up', NAME, '--disk', 'big'], 2, /--disk: "big" is not a quantity/],
    [['up', NAME, '--driver', 'vm'], 2, /namespaces/],
    [['up', NAME, 'second'], 2, /not expected/],
    [['status', 'no-such-rig'], 3, /there is no rig "no-such-rig"/],
    [['statsu'], 2, /did you mean "status"/],
    [['create'], 2, /`gantry rig up NAME`/],
  ]
  for (const [args, exit, message] of refused) {
    it(`refuses ${args.join(' ')}`, async () => {
      const { code, stderr } = await rig(...args)
      assert.deepEqual([code, message.test(stderr)], [exit, true], stderr)
      await nothingLeft()
    })
  }
})

function forwardingOfHost(): string | undefined {
  const held = (): boolean =>
    existsSync('/run/gantry-rig-forwarding') ||
    readdirSync('/sys/class/net').some((name) => name.startsWith('gantry-rig'))
  if (held()) return undefined
  const setting = readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8')
  return held() ? undefined : setting
}
