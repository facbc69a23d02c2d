/**
 * The least client of etcd that there is: one HTTP/2 connection to a socket, one request after the other. What a put
 * takes by it is the floor of everything that writes.
 */
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { connect } from 'node:net'
import protobuf from 'protobufjs'
import type { Figure } from './figures.ts'

/** Bytes of a pod that runs, as it is stored. */
const VALUE_BYTES = 1500
/** Puts before the first that counts, and keys that are written in turn. */
const WARM = 100
const KEYS = 100
/** Bytes of a message's head: not compressed, and its length. */
const HEAD = 5

/** Those fields of etcd's rpc.proto and kv.proto that are used here. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message PutRequest { bytes key = 1; bytes value = 2; }
  message RangeRequest { bytes key = 1; bytes rangeEnd = 2; bool keysOnly = 8; }
  message RangeResponse { repeated KeyValue kvs = 2; }
  message KeyValue { bytes key = 1; int64 version = 4; }
`)
const PutRequest = root.lookupType('PutRequest')
const RangeRequest = root.lookupType('RangeRequest')
const RangeResponse = root.lookupType('RangeResponse')

export class BenchEtcd {
  readonly #session: ClientHttp2Session

  constructor(socket: string) {
    this.#session = connectHttp2('http://etcd', { createConnection: () => connect({ path: socket }) })
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    await this.#call('Put', PutRequest.encode({ key: Buffer.from(key), value }).finish())
  }

  /** How often the keys below a prefix have been written since each was made, all together. */
  async writes(prefix: string): Promise<number> {
    const key = Buffer.from(prefix)
    const rangeEnd = Buffer.from(key)
    rangeEnd[rangeEnd.length - 1]!++
    const bytes = await this.#call('Range', RangeRequest.encode({ key, rangeEnd, keysOnly: true }).finish())
    const { kvs } = RangeResponse.toObject(RangeResponse.decode(bytes), { arrays: true, longs: Number }) as {
      kvs: { version: number }[]
    }
    return kvs.reduce((sum, { version }) => sum + version, 0)
  }

  close(): void {
    this.#session.close()
  }

  /** A unary call of gRPC; fails unless its status is OK. */
  async #call(method: string, message: Uint8Array): Promise<Buffer> {
    const head = Buffer.alloc(HEAD)
    head.writeUInt32BE(message.length, 1)
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': `/etcdserverpb.KV/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    let status: unknown
    const chunks: Buffer[] = []
    stream.on('trailers', (trailers) => (status = trailers['grpc-status']))
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.end(Buffer.concat([head, message]))
    await once(stream, 'close')
    if (status !== '0') throw new Error(`etcd answered ${method} with ${String(status)}`)
    return Buffer.concat(chunks).subarray(HEAD)
  }
}

export async function etcdPutFigure(socket: string, count: number): Promise<Figure> {
  const etcd = new BenchEtcd(socket)
  const samples: number[] = []
  try {
    const value = Buffer.alloc(VALUE_BYTES, 'x')
    for (let index = -WARM; index < count; index++) {
      const began = performance.now()
      await etcd.put(`/bench/put/${(index + WARM) % KEYS}`, value)
      if (index >= 0) samples.push(performance.now() - began)
    }
  } finally {
    etcd.close()
  }
  return { name: 'etcd put', unit: 'ms', samples, note: `${VALUE_BYTES} bytes` }
}
