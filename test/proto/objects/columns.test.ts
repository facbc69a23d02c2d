import assert from 'node:assert/strict'
import { columnsOf, headerOf } from '../../../proto/objects/columns/columns.ts'
import { customColumns } from '../../../proto/objects/columns/custom.ts'
import type { CustomVersion } from '../../../proto/schema/custom/definitions.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { resources } from '../../../proto/schema/schema.ts'
import { decodeResource, encode } from '../../../proto/codec/wire.ts'
import type { AnyResource, CustomResourceColumnDefinition, Kind } from '../../../proto/gen/types.ts'

const NOW = Date.parse('2026-01-01T01:00:00Z')

describe('columns', () => {
  for (const { kind } of resources) {
    it(`of ${kind} bear an object that holds nothing`, () => {
      const empty = applyDefaults(
        decodeResource(kind as Kind, encode(kind as Kind, { metadata: { name: 'x' } } as never)),
      )
      const columns = columnsOf(kind as Kind)
      assert.equal(new Set(columns.map(headerOf)).size, columns.length)
      assert.equal(columns.filter(({ format }) => format === 'name').length, 1)
      for (const column of columns) {
        const text = column.cell(empty, NOW) as string | undefined
        if (column.type === 'integer') assert.match(text ?? '', /^\d+$/, column.name)
      }
    })
  }

  it('take the time only where they say that they age', () => {
    for (const { kind } of resources)
      for (const { name, cell, kubernetesCell, ages } of columnsOf(kind as Kind))
        assert.equal(Math.max(cell.length, kubernetesCell?.length ?? 0) > 1, ages !== undefined, `${kind} ${name}`)
  })

  it('of a kind that has none are its name and when it was made', () => {
    assert.deepEqual(
      columnsOf('PodMetrics' as Kind).map(({ name }) => name),
      ['Name', 'Created At'],
    )
  })
})

describe('columns of a custom kind', () => {
  const object = {
    kind: 'CronTab.stable.example.com',
    metadata: { name: 'a', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { schedule: '* * *', replicas: 3, on: false, ends: '2026-01-01T00:30:00Z', tags: ['x', 'y'] },
  } as unknown as AnyResource
  const cells = (...columns: Partial<CustomResourceColumnDefinition>[]): string[] =>
    customColumns({ columns } as unknown as CustomVersion).map((column) => column.cell(object as never, NOW))

  it('age if they are dates, and else say the same at all times', () => {
    const types = ['string', 'integer', 'boolean', 'number', 'date']
    const columns = customColumns({
      columns: types.map((type) => ({ name: type, type, jsonPath: '.spec.ends' })),
    } as unknown as CustomVersion)
    const differs = columns.map(({ cell }) => cell(object as never, NOW) !== cell(object as never, NOW + 86_400_000))
    assert.deepEqual(differs, [false, false, false, false, false, true])
    assert.deepEqual(
      columns.map(({ ages }) => ages?.(object as never) ?? false),
      differs,
    )
  })

  it('are the name and those of its definition, else the age', () => {
    assert.deepEqual(cells(), ['a', '60m'])
    assert.deepEqual(
      cells(
        { name: 'Schedule', type: 'string', jsonPath: '.spec.schedule' },
        { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
        { name: 'On', type: 'boolean', jsonPath: '.spec.on' },
        { name: 'Ends', type: 'date', jsonPath: '.spec.ends' },
        { name: 'Tags', type: 'string', jsonPath: '.spec.tags[*]' },
        { name: 'Missing', type: 'string', jsonPath: '.status.phase' },
        { name: 'No date', type: 'date', jsonPath: '.spec.schedule' },
      ),
      ['a', '* * *', '3', 'false', '30m', 'x y', '<none>', '<invalid>'],
    )
  })

  it('are wide where their priority is not 0', () => {
    const [, narrow, wide] = customColumns({
      columns: [
        { name: 'A', type: 'string', jsonPath: '.a' },
        { name: 'B', type: 'string', jsonPath: '.b', priority: 1 },
      ],
    } as unknown as CustomVersion)
    assert.deepEqual([narrow!.wide, wide!.wide], [undefined, true])
  })
})
