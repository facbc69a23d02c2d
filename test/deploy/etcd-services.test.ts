/** The services of etcd that bundles have are those that etcd3 would load. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import fc from 'fast-check'

interface Method {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly originalName: string
  readonly requestSerialize: (value: object) => Uint8Array
  readonly requestDeserialize: (bytes: Uint8Array) => object
  readonly responseSerialize: (value: object) => Uint8Array
  readonly responseDeserialize: (bytes: Uint8Array) => object
}
type Services = Readonly<Record<string, Readonly<Record<string, Method>>>>

const here = createRequire(import.meta.url)
const etcd3 = dirname(here.resolve('etcd3/package.json'))
const inEtcd3 = createRequire(join(etcd3, 'package.json'))

describe('the services of etcd in bundles', () => {
  let own: Services
  let loaded: Services

  before(async () => {
    const { moduleText } = (await import('../../deploy/etcd-services.mjs' as string)) as { moduleText: () => string }
    const module = { exports: {} as Services }
    new Function('module', 'require', moduleText())(module, inEtcd3)
    own = module.exports
    const { loadSync } = inEtcd3('@grpc/proto-loader') as { loadSync: (path: string, options: object) => Services }
    const all = loadSync(join(etcd3, 'proto/rpc.proto'), {
      keepCase: true,
      longs: String,
      enums: String,
      defaults: true,
      oneofs: true,
    })
    loaded = Object.fromEntries(Object.entries(all).filter(([, definition]) => !('format' in definition)))
  })

  it('have the same methods', () => {
    const shape = (services: Services): object =>
      Object.fromEntries(
        Object.entries(services).map(([name, methods]) => [
          name,
          Object.entries(methods).map(([method, { path, requestStream, responseStream, originalName }]) => [
            method,
            path,
            requestStream,
            responseStream,
            originalName,
          ]),
        ]),
      )
    assert.deepEqual(shape(own), shape(loaded))
    assert.ok(
      'leaseGrant' in Object.fromEntries(Object.values(own['etcdserverpb.Lease']!).map((one) => [one.originalName, 1])),
    )
  })

  it('write and read the same', () => {
    const text = fc.string().map((value) => Buffer.from(value))
    const samples: Record<string, Record<string, [request: fc.Arbitrary<object>, response: fc.Arbitrary<object>]>> = {
      'etcdserverpb.Lease': {
        LeaseGrant: [
          fc.record({ TTL: fc.nat(), ID: fc.nat() }),
          fc.record({ ID: fc.nat(), TTL: fc.nat(), error: fc.string() }),
        ],
      },
      'etcdserverpb.KV': {
        Range: [
          fc.record({ key: text, range_end: text, sort_order: fc.constantFrom('NONE', 'ASCEND'), limit: fc.nat() }),
          fc.record({
            header: fc.record({ revision: fc.nat() }),
            kvs: fc.array(fc.record({ key: text, value: text, mod_revision: fc.nat() })),
            more: fc.boolean(),
          }),
        ],
        Txn: [
          fc.record({
            compare: fc.array(
              fc.record({
                result: fc.constantFrom('EQUAL', 'LESS'),
                target: fc.constant('MOD'),
                key: text,
                mod_revision: fc.nat(),
              }),
            ),
            success: fc.array(fc.record({ request_put: fc.record({ key: text, value: text, lease: fc.nat() }) })),
          }),
          fc.record({ succeeded: fc.boolean() }),
        ],
      },
    }
    for (const [service, methods] of Object.entries(samples))
      for (const [name, [requests, responses]] of Object.entries(methods)) {
        const [mine, theirs] = [own[service]![name]!, loaded[service]![name]!]
        fc.assert(
          fc.property(requests, responses, (request, response) => {
            const bytes = mine.requestSerialize(request)
            assert.deepEqual(bytes, theirs.requestSerialize(request))
            assert.deepEqual(plain(mine.requestDeserialize(bytes)), plain(theirs.requestDeserialize(bytes)))
            const answer = theirs.responseSerialize(response)
            assert.deepEqual(mine.responseSerialize(response), answer)
            assert.deepEqual(plain(mine.responseDeserialize(answer)), plain(theirs.responseDeserialize(answer)))
          }),
          { numRuns: 50 },
        )
      }
  })
})

/** Without what only says of which class it is. */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value))
}
