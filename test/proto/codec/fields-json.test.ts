import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { readFieldsJson } from '../../../proto/codec/fields-json.ts'
import { until } from '../../eventually.ts'

describe('the JSON of fields that somebody owns', () => {
  const read = (text: string): unknown => {
    const bytes = Buffer.from(text)
    return readFieldsJson(bytes, 0, bytes.length)
  }

  it('is read whatever the length of its keys, and their escapes', () => {
    for (const length of [1, 511, 512, 513, 2_000]) {
      const key = `k:${'"\\'.repeat(length / 2)}${'x'.repeat(length)}`
      for (let time = 0; time < 2; time++) assert.deepEqual(read(JSON.stringify({ [key]: {} })), { [key]: {} })
    }
  })

  it('leaves no long key in memory after its object', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const used = (): number => {
      collect()
      return process.memoryUsage().heapUsed
    }
    const before = used()
    const [count, length] = [100, 500_000]
    for (let number = 0; number < count; number++) read(`{"f:${number}${'x'.repeat(length)}":{}}`)
    read('{"f:spec":{}}')
    // A collection may leave what the one before it has only let go.
    await until('most of it is gone', () => used() - before < (count * length) / 4)
  })
})
