/** The namespaces driver on this host, and what only it has. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NamespacesDriver, type HostOptions } from '../../deploy/rig/drivers/namespaces/driver.ts'
import { run } from '../../proto/base/command.ts'
import { readProcess } from '../../proto/base/process.ts'
import { rigDriverSuite } from '../contract/rig-driver.ts'
import { Bench, beating, rigName, sizeOn, type DriverSubject } from '../contract/rig-driver-bench.ts'
import { eventually } from '../eventually.ts'

const CGROUPS = '/sys/fs/cgroup'

async function makeSubject(options?: HostOptions): Promise<DriverSubject> {
  const homes = await mkdtemp(join(tmpdir(), 'gantry-driver-'))
  return {
    driver: await NamespacesDriver.open(options),
    homes,
    left: (rig) => leftOf(homes, rig),
    cleanUp: () => rm(homes, { recursive: true, force: true }),
  }
}

async function leftOf(homes: string, rig: string): Promise<string[]> {
  const places = [`${homes}/${rig}/`, `/run/gantry/${rig}/`, `gantry-rig/${rig}/`]
  const namesIt = (text: string): boolean => places.some((place) => text.includes(place))
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const commands = pids.map((pid) => (readProcess(Number(pid), 'cmdline') ?? '').replaceAll('\0', ' ')).filter(namesIt)
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(namesIt)
  const loops = (await run('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'])).stdout
    .split('\n')
    .filter(namesIt)
  const links = (
    JSON.parse((await run('ip', ['-json', 'link', 'show'])).stdout) as { ifname: string; ifalias?: string }[]
  )
    .filter(({ ifalias }) => ifalias?.startsWith(`gantry-rig:${rig}`) === true)
    .map(({ ifname, ifalias }) => `${ifname} ${ifalias}`)
  const tables = (await run('nft', ['list', 'tables'])).stdout
    .split('\n')
    .filter((table) => table.includes(`gantry_rig_${rig}`))
  const files = (
    await Promise.all(
      [
        join(homes, rig),
        join('/run/gantry', rig),
        ...['', ...(await readdir(CGROUPS))].map((hierarchy) => join(CGROUPS, hierarchy, 'gantry-rig', rig)),
      ].map(foldersIn),
    )
  ).flat()
  return [...commands, ...mounts, ...loops, ...links, ...tables, ...files]
}

async function foldersIn(directory: string): Promise<string[]> {
  return existsSync(directory) ? (await readdir(directory)).map((name) => join(directory, name)) : []
}

rigDriverSuite('namespaces', () => makeSubject())

describe('machines of namespaces', function () {
  this.timeout(60_000)
  let subject: DriverSubject
  let bench: Bench

  before(async () => {
    subject = await makeSubject()
    bench = new Bench(subject, rigName('c'))
    await bench.createNetwork()
  })

  after(async () => {
    if (subject === undefined) return
    await bench.remove()
    await subject.cleanUp()
  })

  it('end when their maker is killed before they are written down', async () => {
    const maker = `
      import { NamespacesDriver } from ${JSON.stringify(join(import.meta.dirname, '../../deploy/rig/drivers/namespaces/driver.ts'))}
      const driver = await NamespacesDriver.open()
      await driver.startMachine(${JSON.stringify(bench.rig)}, ${JSON.stringify(bench.network)}, ${JSON.stringify(bench.spec(1))}, () => process.kill(process.pid, 'SIGKILL'))`
    await assert.rejects(run(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', maker]), /SIGKILL/)
    await eventually(async () => {
      const left = (await subject.left(bench.rig)).filter(
        (what) => what.includes('machine-boot') || what.includes('.disk\n') || what.includes('/n1 '),
      )
      assert.deepEqual(left, [])
    })
    await bench.start(bench.spec(1))
    await beating(bench.machine('n1'), 1)
  })

  it('end at once also where nobody waits for processes that have lost their parent', async () => {
    const here = (path: string): string => JSON.stringify(join(import.meta.dirname, path))
    // The first process of a process namespace gets what has lost its parent. Node.js waits for its own children only.
    const first = `
      import { NamespacesDriver } from ${here('../../deploy/rig/drivers/namespaces/driver.ts')}
      import { Bench, textOn } from ${here('../contract/rig-driver-bench.ts')}
      import { until } from ${here('../eventually.ts')}
      const bench = new Bench({ driver: await NamespacesDriver.open(), homes: ${JSON.stringify(subject.homes)} }, ${JSON.stringify(rigName('g'))})
      await bench.createNetwork()
      const machine = await bench.start(bench.spec(1))
      const note = machine.spec.runDir + '/beside'
      await machine.startProgram(['sh', '-c', 'echo up > "$0"; exec sleep 600', note])
      await until('it runs', async () => (await textOn(machine, note)) === 'up\\n')
      await machine.kill()
      console.log(await machine.state())
      await bench.remove()`
    const node = [process.execPath, '--import', 'tsx', '--input-type=module', '--eval', first]
    const { stdout } = await run('unshare', ['--pid', '--fork', '--kill-child', '--mount-proc', ...node], {
      timeout: 50_000,
    })
    assert.equal(stdout, 'off\n')
    assert.deepEqual(await subject.left(rigName('g')), [])
  })

  it('are off, and start again, when their init has ended by itself', async () => {
    const machine = bench.machine('n1')
    const { init } = bench.record('n1').handle as { init: { pid: number } }
    process.kill(init.pid, 'SIGKILL')
    await eventually(async () => (await machine.state()) === 'off')
    await machine.start()
    await beating(machine, 2)
  })

  it("have network namespaces of their own names, which neither the host nor another machine sees, nor they the host's", async () => {
    const [one, two] = [await bench.start(bench.spec(3)), await bench.start(bench.spec(4))]
    const named = `gantry-test-${process.pid}`
    const names = async (list: Promise<{ readonly stdout: string }>): Promise<string[]> =>
      (await list).stdout
        .split('\n')
        .map((line) => line.split(' ')[0]!)
        .filter((name) => name.startsWith(named))
    const onHost = (): Promise<string[]> => names(run('ip', ['netns', 'list']))
    await run('ip', ['netns', 'add', `${named}-host`])
    try {
      await one.run(['ip', 'netns', 'add', `${named}-one`])
      await two.run(['ip', 'netns', 'add', `${named}-two`])
      assert.deepEqual(await onHost(), [`${named}-host`])
      assert.deepEqual(await names(one.run(['ip', 'netns', 'list'])), [`${named}-one`])
      assert.deepEqual(await names(two.run(['ip', 'netns', 'list'])), [`${named}-two`])
      assert.equal((await one.run(['ip', 'netns', 'exec', `${named}-one`, 'echo', 'inside'])).stdout, 'inside\n')
      // One that was there when the machine started is not held by it.
      await one.kill()
      await one.start()
      await run('ip', ['netns', 'delete', `${named}-host`])
      assert.deepEqual(await onHost(), [])
      assert.deepEqual(await names(one.run(['ip', 'netns', 'list'])), [])
      assert.doesNotMatch((await one.run(['cat', '/proc/self/mountinfo'])).stdout, new RegExp(named))
    } finally {
      if ((await onHost()).length > 0) await run('ip', ['netns', 'delete', `${named}-host`])
      for (const name of ['n3', 'n4']) await bench.removeMachine(name)
    }
  })

  it('say why they do not start, with the last lines of their log', async () => {
    const spec = bench.spec(2)
    const wrong = { ...spec, files: [{ path: `${spec.log}/below-a-file`, content: '' }] }
    await assert.rejects(bench.start(wrong), { code: 'Internal', message: /n2 did not start/ })
    assert.deepEqual(
      (await subject.left(bench.rig)).filter((what) => what.includes('n2')),
      [],
    )
    await assert.rejects(bench.start({ ...spec, stateDir: '/elsewhere/state' }), {
      code: 'InvalidArgument',
      message: /elsewhere/,
    })
  })
})

describe('machines of namespaces on a host without loop devices', () => {
  it('have their state in a folder of the host, and say so', async () => {
    const subject = await makeSubject({ disks: false })
    const bench = new Bench(subject, rigName('e'))
    try {
      assert.deepEqual([subject.driver.capabilities.ownDisk, subject.driver.capabilities.powerLoss], [false, false])
      await bench.createNetwork()
      const machine = await bench.start(bench.spec(1))
      await beating(machine, 1)
      assert.equal(machine.disk, undefined)
      await assert.rejects(machine.powerOff(), { code: 'FailedPrecondition', message: /no disk of its own/ })
      await machine.kill()
      assert.equal(await readFile(join(machine.spec.stateDir, 'starts'), 'utf8'), 'start\n')
      await machine.start()
      await beating(machine, 2)
    } finally {
      await bench.remove()
    }
    assert.deepEqual(await subject.left(bench.rig), [])
    await subject.cleanUp()
  })
})

// Where version 2 has the controllers there is no version 1 to try: then its unit tests stand alone.
if (existsSync(join(CGROUPS, 'freezer'))) {
  describe('machines of namespaces on a host with cgroup version 1 alone', () => {
    it('stop, go on, and end while they are stopped', async () => {
      const cgroups = await mkdtemp(join(tmpdir(), 'gantry-cgroups-'))
      for (const name of await readdir(CGROUPS))
        if (name !== 'unified') await symlink(join(CGROUPS, name), join(cgroups, name))
      const subject = await makeSubject({ cgroups })
      const bench = new Bench(subject, rigName('f'))
      try {
        await bench.createNetwork()
        const machine = await bench.start(bench.spec(1))
        await beating(machine, 1)
        const beats = `${machine.spec.runDir}/beats`
        const beside = await machine.startProgram([
          'sh',
          '-c',
          'while :; do echo >> "$0"; sleep 0.02; done',
          `${machine.spec.runDir}/beside`,
        ])
        await machine.freeze()
        assert.equal(await machine.state(), 'frozen')
        const before = await sizeOn(machine, beats)
        await eventually(async () => (await sizeOn(machine, `${machine.spec.runDir}/beside`)) > 10)
        assert.equal(await sizeOn(machine, beats), before)
        await machine.thaw()
        await eventually(async () => (await sizeOn(machine, beats)) > before)
        await machine.endProgram(beside)
        await machine.freeze()
        await machine.kill()
        assert.equal(await machine.state(), 'off')
        await machine.start()
        await beating(machine, 2)
        await machine.freeze()
      } finally {
        await bench.remove()
      }
      assert.deepEqual(await subject.left(bench.rig), [])
      await subject.cleanUp()
      await rm(cgroups, { recursive: true })
    })
  })
}
