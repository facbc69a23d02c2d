import assert from 'node:assert/strict'
import fc from 'fast-check'
import { plainChecks } from '../../../proto/gen/checks.ts'
import { copies } from '../../../proto/gen/copies.ts'
import { Report } from '../../../proto/validation/report.ts'
import { validateFields } from '../../../proto/validation/schema.ts'
import { type Fields, messageOf } from '../codec/arbitrary-messages.ts'

/** The same with the first item of each list once more at its end. */
function withRepeats(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [...value, value[0]].map(withRepeats)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withRepeats(item)]))
}

describe('the generated checks', () => {
  it('are true for what validation finds nothing wrong with, of every message, and for nothing else', () => {
    for (const name of Object.keys(copies()))
      fc.assert(
        fc.property(fc.oneof(messageOf(name, 'allowed'), messageOf(name)), (object) => {
          for (const checked of [object, withRepeats(object) as Fields]) {
            const report = new Report()
            validateFields(report, name, checked)
            const check = plainChecks()[name]
            assert.equal(check === undefined || check(checked), report.details.length === 0)
          }
        }),
        { numRuns: 30 },
      )
  })
})
