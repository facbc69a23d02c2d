import assert from 'node:assert/strict'
import * as grpc from '@grpc/grpc-js'
import { EtcdConnection } from '../../../controller/store/etcd-connection.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { failsWith } from '../../contract/store.ts'
import { until } from '../../eventually.ts'

type Renewal = grpc.ServerDuplexStream<Buffer, Buffer>

/**
 * LeaseKeepAliveResponse with a TTL of 5: https://github.com/etcd-io/etcd/blob/release-3.5/api/etcdserverpb/rpc.proto
 */
const LIVES = Buffer.from([0x18, 5])

describe('renewal of a lease', () => {
  let server: grpc.Server
  let connection: EtcdConnection
  let clock: FakeClock
  let renewals: Renewal[]
  const asked = (times: number): Promise<void> => until(`it is asked ${times} times`, () => renewals.length === times)

  beforeEach(async () => {
    clock = new FakeClock()
    renewals = []
    server = new grpc.Server()
    const bytes = (message: Buffer): Buffer => message
    server.addService(
      {
        LeaseKeepAlive: {
          path: '/etcdserverpb.Lease/LeaseKeepAlive',
          requestStream: true,
          responseStream: true,
          requestSerialize: bytes,
          requestDeserialize: bytes,
          responseSerialize: bytes,
          responseDeserialize: bytes,
        },
      },
      { LeaseKeepAlive: (call: Renewal) => void call.once('data', () => renewals.push(call)) },
    )
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    )
    connection = new EtcdConnection({ endpoints: [`127.0.0.1:${port}`], clock })
  })
  afterEach(() => {
    connection.close()
    server.forceShutdown()
    assert.equal(clock.pending, 0, 'no timer is left')
  })

  it('is asked for once more when the first is held up for a second, and then has done with it', async () => {
    const left = connection.keepAlive('7')
    await asked(1)
    await clock.advance(999)
    assert.equal(renewals.length, 1)
    await clock.advance(1)
    await asked(2)
    renewals[1]!.write(LIVES)
    assert.equal(await left, 5)
    await until('the first is given up', () => renewals[0]!.cancelled)
  })

  it('takes an answer that needs more than a second', async () => {
    const left = connection.keepAlive('7')
    await asked(1)
    await clock.advance(1500)
    renewals[0]!.write(LIVES)
    assert.equal(await left, 5)
  })

  it('fails at once when etcd says that it cannot', async () => {
    const left = connection.keepAlive('7')
    await asked(1)
    renewals[0]!.emit('error', { code: grpc.status.UNAVAILABLE, details: 'etcdserver: no leader' })
    await assert.rejects(left, failsWith('Unavailable'))
    assert.equal(renewals.length, 1)
  })
})
