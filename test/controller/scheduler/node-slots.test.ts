import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { NodeInfo } from '../../../controller/scheduler/framework.ts'
import { NodeSlots } from '../../../controller/scheduler/node-slots.ts'

const named = (name: string): NodeInfo => ({ name }) as NodeInfo

describe('node slots', () => {
  it('tell what has changed since any generation, the last change first, each once', () => {
    const step = fc.record({ what: fc.constantFrom('reserve', 'set', 'set', 'release', 'advance'), index: fc.nat() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const slots = new NodeSlots()
        const used: number[] = []
        /** Every change that was made: the slot, and the generation after it. */
        const changes: { slot: number; generation: number }[] = []
        for (const { what, index } of steps) {
          const before = slots.generation
          if (what === 'reserve' || (used.length === 0 && what !== 'advance')) {
            const slot = slots.reserve()
            assert.ok(!used.includes(slot), 'a slot is one node’s')
            used.push(slot)
            changes.push({ slot, generation: slots.set(slot, named(`n${slot}`)) })
          } else if (what === 'advance') slots.advance()
          else {
            const slot = used[index % used.length]!
            const generation = what === 'set' ? slots.set(slot, named(`n${slot}`)) : slots.release(slot)
            changes.push({ slot, generation })
            if (what === 'release') used.splice(used.indexOf(slot), 1)
          }
          assert.ok(slots.generation > before)
        }
        for (let generation = -1; generation <= slots.generation; generation++) {
          const expected = [
            ...new Set(
              changes
                .filter((change) => change.generation > generation)
                .reverse()
                .map(({ slot }) => slot),
            ),
          ]
          const told: number[] = []
          slots.changedSince(generation, (slot) => void told.push(slot))
          assert.deepEqual(told, expected)
          assert.equal(slots.countChangedSince(generation, 3), Math.min(3, expected.length))
        }
        assert.deepEqual(
          slots.nodes.flatMap((node, slot) => (node === undefined ? [] : [slot])),
          [...used].sort((one, other) => one - other),
        )
      }),
    )
  })
})
