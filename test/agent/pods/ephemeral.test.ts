import assert from 'node:assert/strict'
import type { EphemeralContainer, Pod } from '../../../proto/gen/types.ts'
import { makeContainer, makePod, until } from '../fakes.ts'
import { NodeFixture } from './fixture.ts'

describe('containers added to a running pod', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
  })
  afterEach(() => node.remove())

  const added = (name: string, fields: Partial<EphemeralContainer> = {}): EphemeralContainer =>
    ({ ...makeContainer(name), ...fields }) as EphemeralContainer
  const web = (ephemeralContainers: EphemeralContainer[] | undefined, spec: Partial<Pod['spec']> = {}): Pod =>
    makePod('web', { ephemeralContainers, ...spec })
  const state = (name: string): object =>
    node.status('web').ephemeralContainerStatuses?.find((status) => status.name === name)?.state ?? {}
  const shows = (name: string, what: 'running' | 'terminated' | 'waiting'): Promise<void> =>
    until(`${name} is ${what}`, () => what in state(name))

  it('run beside the others, see the processes of the one they name, and change nothing of the pod', async () => {
    node.assignAll(web(undefined))
    await node.phase('web', 'Running')
    node.assign([web([added('look', { targetContainerName: 'main' }), added('apart')])])
    await shows('look', 'running')
    await shows('apart', 'running')
    const [main, ...others] = node.specs
    assert.deepEqual(others.map(({ pidNamespaceOf: processesOf }) => processesOf).sort(), [main!.id, undefined])
    const { conditions, ephemeralContainerStatuses } = node.status('web')
    assert.equal(conditions!.find(({ type }) => type === 'Ready')!.status, 'True')
    assert.deepEqual(
      ephemeralContainerStatuses!.map(({ name, ready, restartCount }) => [name, ready, restartCount]),
      [
        ['look', false, 0],
        ['apart', false, 0],
      ],
    )
    assert.ok(
      node.reports.events.some(
        ({ involvedObject, reason }) =>
          involvedObject?.fieldPath === 'spec.ephemeralContainers{look}' && reason === 'Started',
      ),
    )
  })

  it('run once, whatever the pod says of restarts', async () => {
    node.behaviour = ({ args }) => (args.includes('fails') ? { exitAfter: 10, exitCode: 3 } : {})
    node.assignAll(web([added('once', { command: ['fails'] })]))
    await shows('once', 'running')
    await node.clock.advance(10)
    await shows('once', 'terminated')
    await node.clock.advance(600_000)
    assert.deepEqual([node.specs.length, node.status('web').phase], [2, 'Running'])
    const told = node.reports.pods.flatMap(({ status }) =>
      Object.keys(status?.ephemeralContainerStatuses?.[0]?.state ?? {}).slice(0, 1),
    )
    assert.deepEqual(
      told.slice(told.indexOf('running')).filter((word, at, all) => word !== all[at - 1]),
      ['running', 'terminated'],
      'what is told never goes back',
    )
  })

  it('wait for the container whose processes they are to see, and for no other', async () => {
    node.behaviour = ({ args }) => (args.includes('init') ? { exitAfter: 1000 } : {})
    node.assignAll(
      web([added('early'), added('late', { targetContainerName: 'main' })], {
        initContainers: [makeContainer('first', { command: ['init'] })],
      }),
    )
    await shows('early', 'running')
    await shows('late', 'waiting')
    assert.deepEqual(state('late'), {
      waiting: {
        reason: 'ContainerCreating',
        message: 'waits until container main, whose processes it is to see, runs',
      },
    })
    await node.clock.advance(1000)
    await shows('late', 'running')
  })

  it('do not keep a pod from ending', async () => {
    node.behaviour = ({ args }) => (args.includes('work') ? { exitAfter: 100 } : {})
    node.assignAll(
      web([added('look')], { restartPolicy: 'Never', containers: [makeContainer('main', { command: ['work'] })] }),
    )
    await shows('look', 'running')
    await node.clock.advance(100)
    await until('the pod has ended', async () => {
      await node.clock.advance(1)
      return node.status('web').phase === 'Succeeded'
    })
    await shows('look', 'terminated')
  })

  it('end with the pod, and are not started again by the next agent', async () => {
    node.assignAll(web([added('look')]))
    await shows('look', 'running')
    await node.restart()
    await node.welcome()
    await shows('look', 'running')
    node.assign([
      {
        ...web([added('look')]),
        metadata: { ...web([]).metadata, deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 1 },
      },
    ])
    await until('everything has gone', async () => {
      await node.clock.advance(100)
      return node.machine.containers.size === 0 && node.reports.latest('web')?.released === true
    })
    assert.equal(node.specs.length, 2)
  })
})
