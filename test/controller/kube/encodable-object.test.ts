import assert from 'node:assert/strict'
import { encodableCached, encodableResource } from '../../../controller/kube/encodable-object.ts'
import { EncodedForm } from '../../../controller/kube/encoded-form.ts'
import type { CachedObject } from '../../../controller/informer/contract.ts'
import { decode, decodeResource, encodeResource } from '../../../proto/codec/wire.ts'
import type { ConfigMap } from '../../../proto/gen/types.ts'

function cached(name: string): CachedObject<'ConfigMap'> {
  const written = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, resourceVersion: '' }, data: { a: 'b' } }
  const bytes = encodeResource(written as unknown as ConfigMap)
  return { object: decodeResource('ConfigMap', bytes, '7'), bytes, revision: 7 }
}

describe('objects on their way out', () => {
  it('are encoded once, for who wrote them, for readers and for watchers', () => {
    for (const readsFirst of [true, false]) {
      const entry = cached('one')
      const [first, second] = readsFirst
        ? [encodableCached(entry), encodableResource(entry.object)]
        : [encodableResource(entry.object), encodableCached(entry)]
      assert.equal(first.json(), second.json())
      assert.equal(first.protobuf(), second.protobuf())
      const shown = JSON.parse(Buffer.from(first.json()).toString()) as ConfigMap
      assert.deepEqual([shown.metadata.resourceVersion, shown.data], ['7', { a: 'b' }])
      assert.equal(decode('ConfigMap', first.protobuf()!).metadata.resourceVersion, '7')
    }
  })

  it('are kept encoded as long as they are among the newest', () => {
    let encoded = 0
    const make = (size: number): EncodedForm =>
      new EncodedForm(() => {
        encoded++
        return new Uint8Array(size)
      })
    const MB = 1024 * 1024
    const old = make(MB)
    assert.equal(old.bytes(), old.bytes())
    assert.equal(encoded, 1)
    for (let made = 0; made < 40; made++) make(MB).bytes()
    assert.equal(old.bytes().length, MB)
    assert.equal(encoded, 42)
    // One that is larger than all that is kept is kept alone.
    const large = make(64 * MB)
    assert.equal(large.bytes(), large.bytes())
  })
})
