/**
 * The runtime as one agent has it: the fake driver over the machine's containers, whose verbs take time and sometimes
 * fail. What was begun happens even if the agent ends meanwhile, as with a program that it has started.
 */
import type { RuntimeDriver } from '../../../agent/runtime/contract.ts'
import { FakeRuntime, type FakeBehaviour } from '../../../agent/runtime/fake.ts'
import type { ContainerSpec } from '../../../agent/runtime/contract.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Machine } from './machine.ts'
import type { Process } from './process.ts'
import { between } from './world.ts'

/** Milliseconds that a verb takes before and after its effect. */
const USUAL = 4
const FAULT = 'an input/output error'

export function simulatedRuntime(
  machine: Machine,
  process: Process,
  script: (spec: ContainerSpec) => FakeBehaviour,
): RuntimeDriver {
  const driver = new FakeRuntime(machine.world.clock, script, machine.containers)
  const act = <T>(verb: string, effect: () => Promise<T>): Promise<T> =>
    operate(machine, process, `runtime ${verb}`, effect)
  process.onEnd(() => {
    if (machine.containers === driver.machine) machine.containers.listen(undefined)
  })
  return {
    name: 'fake',
    version: '1.0',
    start: () => driver.start(),
    stop: () => driver.stop(),
    createSandbox: (spec) => act(`createSandbox ${spec.id}`, () => driver.createSandbox(spec)),
    removeSandbox: (id) => act(`removeSandbox ${id}`, () => driver.removeSandbox(id)),
    createContainer: (spec) => act(`createContainer ${spec.id}`, () => driver.createContainer(spec)),
    startContainer: (id) => act(`startContainer ${id}`, () => driver.startContainer(id)),
    killContainer: (id, signal) => act(`killContainer ${id} ${signal}`, () => driver.killContainer(id, signal)),
    removeContainer: (id) => act(`removeContainer ${id}`, () => driver.removeContainer(id)),
    containerState: (id) => act(`containerState ${id}`, () => driver.containerState(id)),
    list: () => act('list', () => driver.list()),
    onExit: (handler) => driver.onExit((container) => process.enter(() => handler(container))),
    exec: (id, request, signal) => driver.exec(id, request, signal),
    openInput: (id) => driver.openInput(id),
    resizeTerminal: (id, size) => driver.resizeTerminal(id, size),
    updateContainer: (id, resources) => act(`updateContainer ${id}`, () => driver.updateContainer(id, resources)),
    updateSandbox: (id, resources) => act(`updateSandbox ${id}`, () => driver.updateSandbox(id, resources)),
    reopenLog: (id) => driver.reopenLog(id),
    stats: (id) => act(`stats ${id}`, () => driver.stats(id)),
    counters: (id) => driver.counters(id),
  }
}

/**
 * Something that a machine does for its agent: takes a while, then happens or fails, and after a further while the
 * agent learns it. After a power loss nothing of it happens.
 */
export function operate<T>(machine: Machine, process: Process, label: string, effect: () => Promise<T>): Promise<T> {
  const { world, random, host } = machine
  const { boots } = host
  const pause = (): number => between(random, 0.1, USUAL) + machine.slowness * random.next()
  const name = `${host.name} ${label}`
  return new Promise<T>((resolve, reject) => {
    if (!process.alive) return
    world.after(pause(), name, () => {
      if (host.boots !== boots) return
      const done = (settle: () => void): void => void world.after(pause(), `done ${name}`, () => process.enter(settle))
      const failure = machine.failureShare > 0 && random.next() < machine.failureShare
      const told = failure && random.next() < 0.5
      // A verb that fails may have done what it was to do.
      if (failure && !told) return done(() => reject(fault(label)))
      const perform = async (): Promise<T> => effect()
      perform().then(
        (result) => done(() => (told ? reject(fault(label)) : resolve(result))),
        (thrown: unknown) => done(() => reject(thrown as Error)),
      )
    })
  })
}

export function isMachineFault(thrown: unknown): boolean {
  return GantryError.is(thrown, 'Internal') && thrown.message.endsWith(FAULT)
}

function fault(label: string): GantryError {
  return new GantryError('Internal', `${label}: ${FAULT}`)
}
