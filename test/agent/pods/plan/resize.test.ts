import assert from 'node:assert/strict'
import { recordResizeRequest, maxResources } from '../../../../agent/pods/plan/resize.ts'
import { newRecord } from '../../../../agent/pods/plan/pod-state.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { Container, Pod, PodCondition } from '../../../../proto/gen/types.ts'
import { makeContainer, makePod, until } from '../../fakes.ts'
import { NodeFixture } from '../fixture.ts'

const MEBIBYTE = 2 ** 20

describe('changes of what running containers may use', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
  })
  afterEach(() => node.remove())

  const asking = (cpu: string, memory: string, fields: Partial<Container> = {}): Container =>
    makeContainer('main', { resources: { limits: { cpu, memory }, requests: { cpu, memory } }, ...fields })
  const web = (cpu: string, memory: string, fields: Partial<Container> = {}): Pod =>
    makePod('web', { containers: [asking(cpu, memory, fields)] })
  const condition = (name: string, type: string): PodCondition | undefined =>
    node.status(name).conditions?.find((other) => other.type === type)
  const running = (name: string): Promise<void> =>
    until(`${name} runs`, () => node.status(name).containerStatuses?.[0]?.state?.running !== undefined)
  const limitOf = (): number => [...node.machine.containers.values()].at(-1)!.spec.resources.memoryLimit
  const told = (): string[] =>
    node.reports.events.map(({ reason }) => reason!).filter((reason) => reason.startsWith('Resize'))

  it('are carried out while they run, for the pod as well', async () => {
    node.assignAll(web('1', '64Mi'))
    await running('web')
    assert.deepEqual(node.status('web').containerStatuses![0]!.resources, {
      limits: { cpu: '1', memory: '64Mi' },
      requests: { cpu: '1', memory: '64Mi' },
    })
    node.assign([web('500m', '128Mi')])
    await until(
      'it has what it asks for',
      () =>
        node.status('web').containerStatuses?.[0]?.resources?.limits?.memory === '128Mi' &&
        condition('web', 'PodResizeInProgress') === undefined,
    )
    const [container] = [...node.machine.containers.values()]
    assert.deepEqual(container!.spec.resources, {
      cpuShares: 512,
      cpuQuotaMicros: 50_000,
      memoryLimit: 128 * MEBIBYTE,
      pidsLimit: 4096,
    })
    assert.deepEqual([...node.machine.sandboxes.values()][0]!.spec.resources, container!.spec.resources)
    assert.deepEqual([node.specs.length, node.status('web').containerStatuses![0]!.restartCount], [1, 0])
    assert.deepEqual(node.status('web').containerStatuses![0]!.allocatedResources, { cpu: '500m', memory: '128Mi' })
    assert.deepEqual(told(), ['ResizeStarted', 'ResizeCompleted'])
  })

  it('restart a container where its policy says so', async () => {
    const resizePolicy: Container['resizePolicy'] = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }]
    node.assignAll(web('1', '64Mi', { resizePolicy }))
    await running('web')
    node.assign([web('2', '64Mi', { resizePolicy })])
    await until('cpu is there', () => node.status('web').containerStatuses?.[0]?.resources?.limits?.cpu === '2')
    assert.equal(node.specs.length, 1)
    node.assign([web('2', '96Mi', { resizePolicy })])
    await until('it began to end', () => condition('web', 'PodResizeInProgress') !== undefined)
    await node.clock.advance(1)
    await until(
      'it runs anew',
      () =>
        node.status('web').containerStatuses?.[0]?.restartCount === 1 &&
        node.status('web').containerStatuses?.[0]?.resources?.limits?.memory === '96Mi' &&
        condition('web', 'PodResizeInProgress') === undefined,
    )
    assert.deepEqual([node.specs.length, limitOf()], [2, 96 * MEBIBYTE])
    assert.ok(node.reports.events.some(({ message }) => message === 'stopping container main: its resources changed'))
  })

  it('wait for room, and take it as soon as another pod has gone', async () => {
    node.assignAll(web('1', '64Mi'), makePod('other', { containers: [asking('3', '64Mi')] }))
    await running('web')
    await running('other')
    node.assign([web('2', '64Mi')])
    await until('it is deferred', () => condition('web', 'PodResizePending')?.reason === 'Deferred')
    assert.match(
      condition('web', 'PodResizePending')!.message!,
      /^not enough cpu on the node: requested 2000m, held by others 3000m/,
    )
    assert.deepEqual(node.status('web').containerStatuses![0]!.allocatedResources, { cpu: '1', memory: '64Mi' })
    // The control plane tells the pod again as it learns its status: nothing new.
    node.assign([{ ...web('2', '64Mi'), metadata: { ...web('2', '64Mi').metadata, resourceVersion: '7' } }])
    assert.deepEqual(told(), ['ResizeDeferred'])
    await node.restart()
    await node.welcome()
    await until('it is deferred still', () => condition('web', 'PodResizePending')?.reason === 'Deferred')
    node.unassign(makePod('other'))
    await until('it has it', async () => {
      await node.clock.advance(1000)
      return (
        node.status('web').containerStatuses?.[0]?.resources?.limits?.cpu === '2' &&
        condition('web', 'PodResizePending') === undefined
      )
    })
  })

  it('are refused for what the node never has, and taken back', async () => {
    node.assignAll(web('1', '64Mi'))
    await running('web')
    node.assign([web('100', '64Mi')])
    await until('it is infeasible', () => condition('web', 'PodResizePending')?.reason === 'Infeasible')
    assert.deepEqual(told(), ['ResizeInfeasible'])
    node.assign([web('1', '64Mi')])
    await until('it is as before', () => condition('web', 'PodResizePending') === undefined)
    assert.deepEqual([node.specs.length, node.status('web').containerStatuses![0]!.resources!.limits!.cpu], [1, '1'])
  })

  it('say what stands in their way, and are tried again', async () => {
    node.assignAll(web('1', '64Mi'))
    await running('web')
    const update = node.runtime.updateContainer.bind(node.runtime)
    node.runtime.updateContainer = () => Promise.reject(new GantryError('FailedPrecondition', 'too much is in use'))
    node.assign([web('1', '32Mi')])
    await until('it says why', () => condition('web', 'PodResizeInProgress')?.reason === 'Error')
    assert.equal(condition('web', 'PodResizeInProgress')!.message, 'too much is in use')
    assert.equal(node.status('web').containerStatuses![0]!.resources!.limits!.memory, '64Mi')
    node.runtime.updateContainer = update
    await until('it has it', async () => {
      await node.clock.advance(1000)
      return node.status('web').containerStatuses?.[0]?.resources?.limits?.memory === '32Mi'
    })
    assert.equal(limitOf(), 32 * MEBIBYTE)
  })

  it('leave nothing on record where nothing changes', () => {
    const record = newRecord(web('1', '64Mi'), 0)
    assert.equal(recordResizeRequest(record, web('1', '64Mi')).granted, undefined)
  })

  it('have room for what is and what will be', () => {
    const limits = { cpuShares: 2, cpuQuotaMicros: 0, memoryLimit: 10, pidsLimit: 5 }
    assert.deepEqual(maxResources(limits, { cpuShares: 1, cpuQuotaMicros: 7, memoryLimit: 20, pidsLimit: 5 }), {
      cpuShares: 2,
      cpuQuotaMicros: 0,
      memoryLimit: 20,
      pidsLimit: 5,
    })
  })
})
