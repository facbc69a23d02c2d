import assert from 'node:assert/strict'
import fc from 'fast-check'
import { plainCheck } from '../../../proto/gen/checks.ts'
import { plainStatusCheck } from '../../../proto/gen/status-checks.ts'
import { messageSchema, resources, schema } from '../../../proto/schema/schema.ts'
import { jsonTree } from '../../../proto/gen/json-trees.ts'
import { Report } from '../../../proto/validation/report.ts'
import { validateStatusFields } from '../../../proto/validation/status.ts'
import { validateFields } from '../../../proto/validation/schema.ts'
import { type Fields, messageOf } from '../codec/arbitrary-messages.ts'

/** The same with the first item of each list once more at its end. */
function withRepeats(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [...value, value[0]].map(withRepeats)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withRepeats(item)]))
}

const kinds = resources.map(({ kind }) => kind).filter((kind) => plainStatusCheck(kind) !== undefined)

describe('the generated checks', () => {
  it('are true for what validation finds nothing wrong with, of every message, and for nothing else', () => {
    for (const name of Object.keys(schema.messages).filter((name) => jsonTree(name) !== undefined))
      fc.assert(
        fc.property(fc.oneof(messageOf(name, 'allowed'), messageOf(name)), (object) => {
          for (const checked of [object, withRepeats(object) as Fields]) {
            const report = new Report()
            validateFields(report, name, checked)
            const check = plainCheck(name)
            assert.equal(check === undefined || check(checked), report.details.length === 0)
          }
        }),
        { numRuns: 30 },
      )
  })

  it('are true for a status that validation finds nothing wrong with, of every kind, and for no other', () => {
    for (const kind of kinds) {
      const { type } = messageSchema(kind).fields.find(({ name }) => name === 'status')!
      fc.assert(
        fc.property(fc.oneof(messageOf(type, 'allowed'), messageOf(type)), (status) => {
          for (const checked of [status, withRepeats(status) as Fields]) {
            const report = new Report()
            validateStatusFields(report, type, checked, 'status')
            assert.equal(plainStatusCheck(kind)!(checked), report.details.length === 0)
          }
        }),
        { numRuns: 60 },
      )
    }
  })

  it('leave statuses of too many or too large parts to validation', () => {
    const conditions = (count: number): object => ({
      conditions: Array.from({ length: count }, (_, index) => ({ type: `T${index}`, status: 'True' })),
    })
    const check = plainStatusCheck('Pod')!
    assert(check(conditions(200)))
    assert(!check(conditions(201)))
    assert(check({ message: 'x'.repeat(40_000) }))
    assert(!check({ message: 'x'.repeat(140_000) }))
    const capacity = (count: number): object => ({
      capacity: Object.fromEntries(Array.from({ length: count }, (_, index) => [`example.com/r${index}`, '1'])),
    })
    assert(plainStatusCheck('Node')!(capacity(10_000)))
    assert(!plainStatusCheck('Node')!(capacity(10_001)))
  })
})
