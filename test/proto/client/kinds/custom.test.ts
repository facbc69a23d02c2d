import assert from 'node:assert/strict'
import type { AnyResource, Kind } from '../../../../proto/gen/types.ts'
import { readinessOf } from '../../../../proto/client/kinds/registry.ts'
import { KindRegistry } from '../../../../proto/schema/kind-registry.ts'
import { customKind } from './custom-kind.ts'

const kinds = new KindRegistry()
const CUSTOM = customKind(kinds, 'CronTab', 'stable.example.com')
const KIND: Kind = CUSTOM.id
const WORD = 'crontab.stable.example.com/nightly'

function object(status: unknown, metadata: object = {}): AnyResource {
  return {
    apiVersion: 'stable.example.com/v1',
    kind: KIND,
    metadata: { name: 'nightly', namespace: 'default', generation: 2, ...metadata },
    status,
  } as never
}

const condition = (type: string, status: string, more: object = {}): object => ({ type, status, ...more })

describe('readiness of kinds that definitions define', () => {
  before(() => kinds.set(CUSTOM))
  after(() => kinds.delete(KIND))

  const cases: [what: string, object: AnyResource, is: string, text: string][] = [
    [
      'one without a status',
      object(undefined),
      'ready',
      `${WORD} exists; it has no conditions to tell whether it is ready`,
    ],
    [
      'one whose conditions tell of something else',
      object({ conditions: [condition('Synced', 'False')] }),
      'ready',
      `${WORD} exists; it has neither condition Ready nor Available to tell whether it is ready`,
    ],
    ['one that is Ready', object({ conditions: [condition('Ready', 'True')] }), 'ready', `${WORD} is ready`],
    [
      'one that is Available',
      object({ conditions: [condition('Available', 'True')] }),
      'ready',
      `${WORD} is available`,
    ],
    [
      'one that is Available, but not Ready',
      object({ conditions: [condition('Available', 'True'), condition('Ready', 'False', { reason: 'Starting' })] }),
      'waiting',
      `${WORD}: Starting`,
    ],
    [
      'one that is not Ready, with its message',
      object({ conditions: [condition('Ready', 'False', { reason: 'Starting', message: 'two of three' })] }),
      'waiting',
      `${WORD}: two of three`,
    ],
    [
      'one of which that is not known',
      object({ conditions: [condition('Ready', 'Unknown')] }),
      'waiting',
      `${WORD}: Ready is Unknown`,
    ],
    [
      'one whose status is of an older spec',
      object({ observedGeneration: 1, conditions: [condition('Ready', 'True')] }),
      'waiting',
      `${WORD}: its last change is not observed yet`,
    ],
    [
      'one whose condition is of an older spec',
      object({ conditions: [condition('Ready', 'True', { observedGeneration: 1 })] }),
      'waiting',
      `${WORD}: its last change is not observed yet`,
    ],
    [
      'one that is reconciled, although it was Ready',
      object({ conditions: [condition('Ready', 'True'), condition('Reconciling', 'True', { message: 'replacing' })] }),
      'waiting',
      `${WORD}: replacing`,
    ],
    [
      'one that is stalled',
      object({ conditions: [condition('Reconciling', 'True'), condition('Stalled', 'True', { reason: 'NoQuota' })] }),
      'failed',
      `${WORD}: NoQuota`,
    ],
    [
      'one that is not stalled',
      object({ conditions: [condition('Stalled', 'False'), condition('Ready', 'True')] }),
      'ready',
      `${WORD} is ready`,
    ],
    [
      'one that is being deleted',
      object({ conditions: [condition('Ready', 'True')] }, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
      'waiting',
      `${WORD}: is being deleted`,
    ],
    [
      'one whose status is of another shape',
      object('fine'),
      'ready',
      `${WORD} exists; it has no conditions to tell whether it is ready`,
    ],
    [
      'one whose conditions are of another shape',
      object({ conditions: [null, 'Ready', { type: 'Ready' }], observedGeneration: '7' }),
      'ready',
      `${WORD} exists; it has no conditions to tell whether it is ready`,
    ],
  ]
  for (const [what, seen, is, text] of cases)
    it(`of ${what}: ${is}`, () => assert.deepEqual(readinessOf(seen), { is, text }))
})
