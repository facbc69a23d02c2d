/** The bare loop of conmon, create and start. */
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Cgroups } from '../../../agent/runtime/oci/cgroups.ts'
import { containerConfig } from '../../../agent/runtime/oci/config.ts'
import { Conmon } from '../../../agent/runtime/oci/conmon.ts'
import type { RuntimeName } from '../../../agent/runtime/oci/runtime-program.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import { Semaphore } from '../../../proto/base/semaphore.ts'
import { RuntimeMachine } from '../../agent/runtime/machine.ts'
import { containerSpec, sandboxSpec } from '../../contract/runtime.ts'
import { SLEEP, timed } from './driver.ts'
import type { BareTimes, Counts } from './runtime.ts'

export async function runBareLoop(runtime: RuntimeName, { single, burst }: Counts): Promise<BareTimes> {
  const machine = await RuntimeMachine.make(runtime)
  try {
    const { make, remove } = await bareContainers(machine, runtime)
    const times = { create: [] as number[], start: [] as number[], whole: [] as number[] }
    for (let index = 0; index < single; index++) {
      const { create, start } = await make(`bare${index}`)
      times.create.push(create)
      times.start.push(start)
      times.whole.push(create + start)
      await remove(`bare${index}`)
    }
    const turns = new Semaphore(2 * availableParallelism())
    const ids = Array.from({ length: burst }, (_, index) => `burst${index}`)
    const all = await timed(() => Promise.all(ids.map((id) => turns.run(() => make(id)))))
    for (const id of ids) await remove(id)
    return { ...times, burst: burst === 0 ? [] : [all] }
  } finally {
    await machine.cleanUp()
  }
}

interface BareContainers {
  /** Milliseconds of both steps. */
  make(id: string): Promise<{ create: number; start: number }>
  remove(id: string): Promise<unknown>
}

async function bareContainers(machine: RuntimeMachine, runtime: RuntimeName): Promise<BareContainers> {
  const [exitDirectory, socketDirectory, root] = ['exits', 's', 'root'].map((name) => join(machine.directory, name))
  for (const directory of [exitDirectory!, socketDirectory!, root!]) await mkdir(directory)
  const program = (await run('sh', ['-c', 'command -v "$1"', 'sh', runtime])).stdout.trim()
  const conmon = new Conmon({
    program: '/usr/bin/conmon',
    runtime: program,
    runtimeArgs: ['--root', root!],
    exitDirectory: exitDirectory!,
    socketDirectory: socketDirectory!,
    launcher: machine.launcher,
  })
  const cgroupVersion = (await Cgroups.detect(systemClock)).layout.version
  const configOf = (id: string): string =>
    JSON.stringify(
      containerConfig({
        spec: containerSpec(machine, id, id, SLEEP),
        sandbox: sandboxSpec(id, { hostIpc: true }),
        shared: { ipc: '', uts: '', shm: '', pid: undefined },
        host: { cgroupVersion, limitsSwap: false, capabilities: [], oomScoreAdj: 0 },
        cgroupsPath: `${machine.cgroupParent}/${id}`,
        localSeccomp: undefined,
        devices: [],
      }),
    )
  return {
    make: async (id) => {
      const bundle = join(machine.directory, id)
      await mkdir(bundle)
      await writeFile(join(bundle, 'config.json'), configOf(id))
      const request = { id, bundle, logPath: join(bundle, 'log'), tty: false, stdin: false, stdinOnce: false }
      const create = await timed(() => conmon.create(request))
      return { create, start: await timed(() => run(program, ['--root', root!, 'start', id])) }
    },
    remove: (id) => run(program, ['--root', root!, 'delete', '--force', id]),
  }
}
