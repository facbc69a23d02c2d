/** Tables of objects of which some have been shown before. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { EncodableObject, ServedResource } from '../../../controller/kube/contract.ts'
import { encodableCached } from '../../../controller/kube/encodable-object.ts'
import { TableMaker, type IncludeObject } from '../../../controller/kube/table.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { encodeResource } from '../../../proto/codec/wire.ts'
import type { CachedObject } from '../../../controller/informer/contract.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'

const MADE = Date.parse('2026-01-01T00:00:00Z')
const POD: JsonObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'wéb "1"',
    namespace: 'default',
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { app: 'web' },
    managedFields: [{ manager: 'me', operation: 'Apply', fieldsV1: {} }],
  },
  spec: { containers: [{ name: 'main', image: 'busybox' }] },
}

interface Row {
  readonly cells: readonly unknown[]
  readonly object: JsonObject | null
}

/** A pod as the cache has it: a new entry each time. */
function pod(restarts = 0): CachedObject {
  const object = applyDefaults(decodeJson('Pod', POD)) as CachedObject<'Pod'>['object']
  object.status = {
    ...object.status,
    phase: 'Running',
    containerStatuses: [
      {
        name: 'main',
        image: 'busybox',
        imageID: '',
        ready: true,
        restartCount: restarts,
        state: { running: {} },
        lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:00:30Z' } },
      },
    ],
  } as never
  return { object, bytes: encodeResource(object), revision: 7 }
}

describe('tables', () => {
  const rows = (item: EncodableObject, include: IncludeObject, now: number, version = 'v1'): Row[] => {
    const maker = new TableMaker(`meta.k8s.io/${version}`, undefined as ServedResource | undefined, include, () => now)
    return (
      JSON.parse(Buffer.from(maker.table([item, item], { resourceVersion: '7' }).json()).toString()) as { rows: Row[] }
    ).rows
  }

  it('have cells that age, of an object that was shown before', () => {
    const item = encodableCached(pod(2))
    for (const [seconds, age, restarts] of [
      [60, '60s', '2 (30s ago)'],
      [60, '60s', '2 (30s ago)'],
      [3600, '60m', '2 (59m ago)'],
      [90, '90s', '2 (60s ago)'],
    ] as const)
      assert.deepEqual(
        rows(item, 'Metadata', MADE + seconds * 1000).map(({ cells }) => cells.slice(0, 5)),
        Array.from({ length: 2 }, () => ['wéb "1"', '1/1', 'Running', restarts, age]),
      )
  })

  it('are the same whatever was asked for before', () => {
    const ask = fc.record({
      include: fc.constantFrom('None', 'Metadata', 'Object'),
      version: fc.constantFrom('v1', 'v1beta1'),
      seconds: fc.nat(100_000),
    })
    fc.assert(
      fc.property(fc.array(ask, { minLength: 1, maxLength: 8 }), (asks) => {
        const shown = encodableCached(pod())
        for (const { include, version, seconds } of asks) {
          const now = MADE + seconds * 1000
          const seen = rows(shown, include as IncludeObject, now, version)
          assert.deepEqual(seen, rows(encodableCached(pod()), include as IncludeObject, now, version))
          const { object } = seen[0]!
          if (include === 'None') assert.equal(object, null)
          else if (include === 'Object') assert.equal(object!.kind, 'Pod')
          else {
            const { managedFields: _, ...metadata } = POD.metadata as JsonObject
            assert.deepEqual(object, { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata })
          }
        }
      }),
      { numRuns: 50 },
    )
  })
})
