import assert from 'node:assert/strict'
import { mergeNodeStatus } from '../../../controller/nodehealth/health.ts'
import { NodePageReader } from '../../../controller/dispatch/node-page-reader.ts'
import { Streams } from '../../../controller/dispatch/streams.ts'
import { CONTROLLERS } from '../../../controller/authorization/groups.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Input } from '../../../proto/codec/wire.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { ControllerMessage, OpenStream, Page, StreamUp } from '../../../proto/gen/types.ts'
import { ControlPlane } from '../control-plane.ts'

const PAGE: Page = { code: 200, contentType: 'text/plain', body: Buffer.from('x 1\n') }

describe('pages of nodes', () => {
  const clock = new FakeClock()
  const signal = new AbortController().signal
  const user = { name: 'anna', groups: [] }
  let plane: ControlPlane

  before(async () => {
    plane = await ControlPlane.start(clock)
    for (const [name, controller] of [
      ['n1', 'c1'],
      ['n2', 'c2'],
    ] as const) {
      const annotations = { 'gantry.dev/session': 's', 'gantry.dev/controller': controller }
      await plane.api.create({ kind: 'Node', metadata: { name, annotations } }, { fieldManager: 'test' })
    }
    await plane.reads.current()
  })
  after(() => plane.stop())

  function reader(
    answers: boolean,
    peer: (path: string) => Promise<Page> = () => Promise.reject(new Error('no peer is asked')),
  ): NodePageReader {
    const streams = new Streams(clock, seededRandom(1))
    const tell = (name: string, { message }: Input<ControllerMessage>): boolean => {
      if (message?.case !== 'openStream' || !answers) return answers || message?.case !== 'openStream' || name === 'n1'
      const { streamId = '', request } = message.value as OpenStream
      assert.deepEqual(request, { case: 'page', value: { path: '/metrics' } })
      const up = async function* (): AsyncGenerator<StreamUp> {
        yield { message: { case: 'opened', value: streamId } }
        yield { message: { case: 'page', value: PAGE } }
      }
      void (async () => {
        for await (const _down of streams.serve(name, up(), signal)) continue
      })()
      return true
    }
    return new NodePageReader({
      informer: plane.informer,
      dispatcher: { streams, tell } as never,
      controller: 'c1',
      clock,
      peers: {
        client: (name: string) =>
          Promise.resolve({
            nodePage: ({ node: asked, path }: { node: string; path: string }) => peer(`${name} ${asked} ${path}`),
          }),
      } as never,
    })
  }

  it('come through the session of the node', async () => {
    assert.deepEqual(await reader(true).read('n1', '/metrics', { user, signal }), PAGE)
  })

  it('come by way of the controller that holds the session, which asks nobody else', async () => {
    const asked: string[] = []
    const peer = (what: string): Promise<Page> => {
      asked.push(what)
      return Promise.resolve(PAGE)
    }
    assert.deepEqual(await reader(false, peer).read('n2', '/metrics', { user, signal }), PAGE)
    assert.deepEqual(asked, ['c2 n2 /metrics'])
    const byController = reader(true)
    assert.deepEqual(
      await byController.read('n2', '/metrics', { user: { name: 'c2', groups: [CONTROLLERS] }, signal }),
      PAGE,
    )
  })

  it('are told to be at the port that the node names', () => {
    const daemonEndpoints = { kubeletEndpoint: { Port: 10250 } }
    assert.deepEqual(
      mergeNodeStatus({ phase: 'Running' }, { daemonEndpoints, conditions: [] }).daemonEndpoints,
      daemonEndpoints,
    )
  })

  it('are not there of a node that is unknown or does not answer in time', async () => {
    await assert.rejects(reader(true).read('none', '/metrics', { user, signal }), (error) =>
      GantryError.is(error, 'NotFound'),
    )
    const silent = reader(false).read('n1', '/metrics', { user, signal })
    silent.catch(() => undefined)
    await clock.advance(8_000)
    await assert.rejects(silent, (error) => GantryError.is(error, 'Unavailable'))
    assert.equal(clock.pending, 0)
  })
})
