import assert from 'node:assert/strict'
import type { AdmissionPlugin } from '../../../controller/api/contract.ts'
import { PodsHandlers } from '../../../controller/grpc/pods.ts'
import type { PodBackend } from '../../../controller/requests/backends.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { ControlPlane } from '../control-plane.ts'
import { mastersOnly, testRequests } from '../requests/test-requests.ts'
import { CONTROLLERS, MASTERS } from '../../../controller/authorization/groups.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { CopyInput, ExecInput, PortForwardInput } from '../../../proto/gen/types.ts'

async function* all<T>(...items: readonly T[]): AsyncGenerator<T, void, undefined> {
  yield* items
}

describe('connections into pods over gRPC', () => {
  let asked: unknown[]
  let served: unknown[]
  let refused = false
  const serve = async function* (inputs: AsyncIterable<unknown>): AsyncGenerator<never, void, undefined> {
    for await (const input of inputs) served.push(input)
  }
  const gate: AdmissionPlugin = {
    name: 'gate',
    handles: ({ operation }) => operation === 'CONNECT',
    validate: ({ kind, namespace, name, subresource, message, context: { user } }) => {
      asked.push([kind, namespace, name, subresource, message, user?.name])
      if (refused) throw new GantryError('Forbidden', 'nobody enters')
    },
  }
  let plane: ControlPlane
  let pods: PodsHandlers

  before(async () => {
    plane = await ControlPlane.start(new FakeClock(), { plugins: () => [gate] })
    pods = new PodsHandlers(
      testRequests({
        api: plane.api,
        authorizer: mastersOnly,
        pods: { exec: serve, attach: serve, portForward: serve, copy: serve } as unknown as PodBackend,
      }),
    )
  })
  after(() => plane.stop())

  const call = (group: string) => ({
    signal: new AbortController().signal,
    peer: 'test',
    user: { name: 'anna', groups: [group] },
  })
  const place = { namespace: 'default', pod: 'web', container: '' }
  const exec = (): ExecInput[] => [
    {
      input: {
        case: 'start',
        value: { ...place, command: ['sh', '-c', 'ls'], stdin: false, tty: true, size: undefined },
      },
    },
    { input: { case: 'stdinClosed', value: true } },
  ]

  beforeEach(() => {
    asked = []
    served = []
    refused = false
  })

  async function drain(answers: AsyncIterable<unknown>): Promise<void> {
    for await (const answer of answers) assert.fail(JSON.stringify(answer))
  }

  it('are asked about as Kubernetes words them, and go on as they came', async () => {
    await drain(pods.exec(all(...exec()), call(MASTERS)))
    assert.deepEqual(served, exec())
    await drain(
      pods.portForward(
        all<PortForwardInput>({
          input: { case: 'start', value: { namespace: 'default', pod: 'web', uid: '', port: 80 } },
        }),
        call(MASTERS),
      ),
    )
    await drain(
      pods.copy(
        all<CopyInput>({
          input: { case: 'start', value: { ...place, path: '/x', into: true, name: '', noPreserve: false } },
        }),
        call(MASTERS),
      ),
    )
    assert.deepEqual(asked, [
      [
        'Pod',
        'default',
        'web',
        'exec',
        { kind: 'PodExecOptions', apiVersion: 'v1', stdout: true, tty: true, command: ['sh', '-c', 'ls'] },
        'anna',
      ],
      [
        'Pod',
        'default',
        'web',
        'portforward',
        { kind: 'PodPortForwardOptions', apiVersion: 'v1', ports: [80] },
        'anna',
      ],
      [
        'Pod',
        'default',
        'web',
        'exec',
        { kind: 'PodExecOptions', apiVersion: 'v1', stdin: true, stdout: true, stderr: true, command: ['tar'] },
        'anna',
      ],
    ])
  })

  it('reach nothing when they are refused', async () => {
    refused = true
    await assert.rejects(drain(pods.exec(all(...exec()), call(MASTERS))), {
      code: 'Forbidden',
      message: 'nobody enters',
    })
    assert.deepEqual(served, [])
  })

  it('are not asked about again when a controller passes them on', async () => {
    await drain(pods.exec(all(...exec()), call(CONTROLLERS)))
    assert.deepEqual([asked, served.length], [[], 2])
  })
})
