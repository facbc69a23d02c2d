import assert from 'node:assert/strict'
import { failureOf, isGrpc } from '../../../../controller/store/grpc/status.ts'
import type { HeaderFields } from '../../../../proto/rpc/http2/header-fields.ts'
import type { ErrorCode } from '../../../../proto/base/errors.ts'

const GRPC: HeaderFields = { ':status': '200', 'content-type': 'application/grpc' }

describe('status of a call', () => {
  const cases: { what: string; head?: HeaderFields; trailers?: HeaderFields; code?: ErrorCode; text?: string }[] = [
    { what: 'OK in the trailers', head: GRPC, trailers: { 'grpc-status': '0' } },
    { what: 'OK and nothing else', head: { ...GRPC, 'grpc-status': '0' } },
    {
      what: 'a failure in the trailers',
      head: GRPC,
      trailers: { 'grpc-status': '14', 'grpc-message': 'etcdserver: no leader' },
      code: 'Unavailable',
      text: 'etcd: etcdserver: no leader',
    },
    {
      what: 'a failure and nothing else',
      head: { ...GRPC, 'grpc-status': '5', 'grpc-message': 'etcdserver: requested lease not found' },
      code: 'NotFound',
      text: 'etcd: etcdserver: requested lease not found',
    },
    {
      what: 'a message with other characters',
      head: { ...GRPC, 'grpc-status': '3', 'grpc-message': 'k%C3%B6nnte 100%25 sein' },
      code: 'InvalidArgument',
      text: 'etcd: könnte 100% sein',
    },
    {
      what: 'a message that is not encoded as it should be',
      head: { ...GRPC, 'grpc-status': '8', 'grpc-message': '100% %zz %C3' },
      code: 'ResourceExhausted',
      text: 'etcd: 100% %zz %C3',
    },
    { what: 'a compacted revision', head: GRPC, trailers: { 'grpc-status': '11' }, code: 'Expired' },
    { what: 'what one may not do', head: GRPC, trailers: { 'grpc-status': '7' }, code: 'Forbidden' },
    { what: 'who one is not', head: GRPC, trailers: { 'grpc-status': '16' }, code: 'Unauthenticated' },
    ...['1', '2', '4', '6', '9', '10', '12', '13', '14', '15', '99'].map((status) => ({
      what: `status ${status}`,
      head: GRPC,
      trailers: { 'grpc-status': status },
      code: 'Unavailable' as const,
      text: `etcd: gRPC status ${status}`,
    })),
    { what: 'a status that is none', head: GRPC, trailers: { 'grpc-status': '' }, code: 'Unavailable' },
    { what: 'an end without a status', head: GRPC, trailers: {}, code: 'Unavailable' },
    { what: 'an end without anything', code: 'Unavailable' },
    ...(
      [
        ['400', 'Unavailable'],
        ['401', 'Unauthenticated'],
        ['403', 'Forbidden'],
        ['404', 'Unavailable'],
        ['429', 'Unavailable'],
        ['500', 'Unavailable'],
        ['502', 'Unavailable'],
        ['503', 'Unavailable'],
        ['504', 'Unavailable'],
      ] as const
    ).map(([status, code]) => ({
      what: `HTTP status ${status}`,
      head: { ':status': status, 'content-type': 'text/html' },
      code,
      text: `etcd: no answer of gRPC but HTTP status ${status}`,
    })),
    { what: 'HTTP status 500 with a status', head: { ':status': '500', 'grpc-status': '5' }, code: 'NotFound' },
  ]
  for (const { what, head, trailers, code, text } of cases) {
    it(`takes ${what} for ${code ?? 'success'}`, () => {
      const failure = failureOf(head, trailers)
      assert.equal(failure?.code, code)
      if (text !== undefined) assert.equal(failure?.message, text)
    })
  }

  it('reads messages from answers of gRPC only', () => {
    assert.ok(isGrpc(GRPC))
    assert.ok(isGrpc({ ...GRPC, 'content-type': 'application/grpc+proto' }))
    assert.ok(!isGrpc({ ...GRPC, ':status': '502' }))
    assert.ok(!isGrpc({ ...GRPC, 'content-type': 'text/html' }))
    assert.ok(!isGrpc({ ':status': '200' }))
  })
})
