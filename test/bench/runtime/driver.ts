/** Pods through the driver: one after the other, and many at once. */
import type { RuntimeName } from '../../../agent/runtime/oci/runtime-program.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { RuntimeMachine } from '../../agent/runtime/machine.ts'
import { containerSpec, sandboxSpec } from '../../contract/runtime.ts'
import type { Counts, DriverTimes } from './runtime.ts'

export const SLEEP = ['/bin/sleep', '1000']

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = systemClock.monotonic()
  await work()
  return systemClock.monotonic() - start
}

export async function runDriverLoop(runtime: RuntimeName, { single, burst }: Counts): Promise<DriverTimes> {
  const machine = await RuntimeMachine.make(runtime)
  const driver = machine.driver({ prepared: 8 })
  const times = {
    sandbox: [] as number[],
    create: [] as number[],
    start: [] as number[],
    whole: [] as number[],
    remove: [] as number[],
  }
  const sandbox = (id: string): Promise<unknown> => driver.createSandbox(sandboxSpec(id))
  const create = (id: string): Promise<unknown> => driver.createContainer(containerSpec(machine, `${id}-c`, id, SLEEP))
  const start = (id: string): Promise<unknown> => driver.startContainer(`${id}-c`)
  try {
    await driver.start()
    for (let index = 0; index < single; index++) {
      const id = `p${index}`
      const steps = [await timed(() => sandbox(id)), await timed(() => create(id)), await timed(() => start(id))]
      times.sandbox.push(steps[0]!)
      times.create.push(steps[1]!)
      times.start.push(steps[2]!)
      times.whole.push(steps.reduce((sum, step) => sum + step, 0))
      times.remove.push(await timed(() => driver.removeSandbox(id)))
    }
    const pod = async (id: string): Promise<void> => {
      await sandbox(id)
      await create(id)
      await start(id)
    }
    const all = await timed(() => Promise.all(Array.from({ length: burst }, (_, index) => pod(`b${index}`))))
    return { ...times, burst: burst === 0 ? [] : [all] }
  } finally {
    await driver.stop()
    await machine.cleanUp()
  }
}
