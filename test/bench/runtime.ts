/**
 * What a container costs on this machine: the driver beside the bare loop of conmon, create and start. Milliseconds a
 * sample.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Cgroups } from '../../agent/runtime/oci/cgroups.ts'
import { containerConfig } from '../../agent/runtime/oci/config.ts'
import { Conmon } from '../../agent/runtime/oci/conmon.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { run } from '../../proto/base/command.ts'
import { Semaphore } from '../../proto/base/semaphore.ts'
import { RuntimeMachine } from '../agent/runtime/machine.ts'
import { containerSpec, sandboxSpec } from '../contract/runtime.ts'

export interface Series {
  readonly name: string
  /** Milliseconds. */
  readonly samples: number[]
}

const SAMPLES = 20
const BURST = 100
const SLEEP = ['/bin/sleep', '1000']
const RUNTIMES = ['crun', 'runc'] as const

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = systemClock.monotonic()
  await work()
  return systemClock.monotonic() - start
}

/** One pod after the other, and many at once, through the driver. */
async function throughDriver(runtime: 'crun' | 'runc'): Promise<Series[]> {
  const machine = await RuntimeMachine.make(runtime)
  const driver = machine.driver({ prepared: 8 })
  const steps: Record<'sandbox' | 'create' | 'start' | 'whole' | 'remove', number[]> = {
    sandbox: [],
    create: [],
    start: [],
    whole: [],
    remove: [],
  }
  const pod = async (id: string): Promise<void> => {
    await driver.createSandbox(sandboxSpec(id))
    await driver.createContainer(containerSpec(machine, `${id}-c`, id, SLEEP))
    await driver.startContainer(`${id}-c`)
  }
  try {
    await driver.start()
    for (let index = 0; index < SAMPLES; index++) {
      const id = `p${index}`
      const sandbox = await timed(() => driver.createSandbox(sandboxSpec(id)))
      const create = await timed(() => driver.createContainer(containerSpec(machine, `${id}-c`, id, SLEEP)))
      const start = await timed(() => driver.startContainer(`${id}-c`))
      steps.sandbox.push(sandbox)
      steps.create.push(create)
      steps.start.push(start)
      steps.whole.push(sandbox + create + start)
      steps.remove.push(await timed(() => driver.removeSandbox(id)))
    }
    const burst = await timed(() => Promise.all(Array.from({ length: BURST }, (_, index) => pod(`b${index}`))))
    return [
      ...Object.entries(steps).map(([step, samples]) => ({ name: `${runtime} driver ${step}`, samples })),
      { name: `${runtime} driver ${BURST} pods at once`, samples: [burst] },
    ]
  } finally {
    await driver.stop()
    await machine.cleanUp()
  }
}

/** The floor: the same configuration in a namespace of its own, no records, no sandbox. */
async function bare(runtime: 'crun' | 'runc'): Promise<Series[]> {
  const machine = await RuntimeMachine.make(runtime)
  const create: number[] = []
  const start: number[] = []
  try {
    const directories = ['exits', 's', 'root'].map((name) => join(machine.directory, name))
    for (const directory of directories) await mkdir(directory)
    const [exitDirectory, socketDirectory, root] = directories as [string, string, string]
    const program = (await run('sh', ['-c', 'command -v "$1"', 'sh', runtime])).stdout.trim()
    const conmon = new Conmon({
      program: '/usr/bin/conmon',
      runtime: program,
      runtimeArgs: ['--root', root],
      exitDirectory,
      socketDirectory,
      launcher: machine.launcher,
    })
    const host = {
      cgroupVersion: (await Cgroups.detect(systemClock)).layout.version,
      limitsSwap: false,
      capabilities: [],
      oomScoreAdj: 0,
    }
    const container = async (id: string): Promise<{ create: number; start: number }> => {
      const bundle = join(machine.directory, id)
      await mkdir(bundle)
      const config = containerConfig({
        spec: containerSpec(machine, id, id, SLEEP),
        sandbox: sandboxSpec(id, { hostIpc: true }),
        shared: { ipc: '', uts: '', shm: '', pid: undefined },
        host,
        cgroupsPath: `${machine.cgroupParent}/${id}`,
        localSeccomp: undefined,
        devices: [],
      })
      await writeFile(join(bundle, 'config.json'), JSON.stringify(config))
      const create = await timed(() =>
        conmon.create({ id, bundle, logPath: join(bundle, 'log'), tty: false, stdin: false, stdinOnce: false }),
      )
      return { create, start: await timed(() => run(program, ['--root', root, 'start', id])) }
    }
    const remove = (id: string): Promise<unknown> => run(program, ['--root', root, 'delete', '--force', id])
    for (let index = 0; index < SAMPLES; index++) {
      const times = await container(`bare${index}`)
      create.push(times.create)
      start.push(times.start)
      await remove(`bare${index}`)
    }
    const turns = new Semaphore(2 * availableParallelism())
    const ids = Array.from({ length: BURST }, (_, index) => `burst${index}`)
    const burst = await timed(() => Promise.all(ids.map((id) => turns.run(() => container(id)))))
    for (const id of ids) await remove(id)
    return [
      { name: `${runtime} bare conmon + create`, samples: create },
      { name: `${runtime} bare start`, samples: start },
      { name: `${runtime} bare ${BURST} at once`, samples: [burst] },
    ]
  } finally {
    await machine.cleanUp()
  }
}

/**
 * As a node of the rig has it: where crun would refuse the hybrid of control groups, in a mount namespace without its
 * version 2 tree.
 */
export async function bench(): Promise<Series[]> {
  const { layout } = await Cgroups.detect(systemClock)
  if (layout.version === 1 && layout.unified !== undefined) {
    const output = execFileSync(
      'unshare',
      [
        '--mount',
        '--propagation',
        'private',
        '--',
        'sh',
        '-c',
        'umount "$1" && shift && exec "$@"',
        'sh',
        layout.unified,
        process.execPath,
        '--import',
        'tsx',
        fileURLToPath(import.meta.url),
      ],
      { encoding: 'utf8', timeout: 300_000 },
    )
    return JSON.parse(output) as Series[]
  }
  const series: Series[] = []
  for (const runtime of RUNTIMES) series.push(...(await bare(runtime)), ...(await throughDriver(runtime)))
  return series
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(JSON.stringify(await bench()))
