import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseTarget, targetWords } from '../../../../deploy/rig/faults/target.ts'
import { parseCommandLines } from '../../../../deploy/rig/faults/processes.ts'

describe('processes of a machine', () => {
  it('reads every command line, with empty arguments, colons and line breaks in them', () => {
    const command = fc.array(
      fc.string().map((word: string) => word.replaceAll('\0', '')),
      { minLength: 1, maxLength: 5 },
    )
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 99_999 }), { maxLength: 5 }),
        fc.infiniteStream(command),
        (pids, commands) => {
          const processes = pids.map((pid) => ({ pid, command: commands.next().value as string[] }))
          const text = processes
            .flatMap(({ pid, command }) => command.map((word) => `/proc/${pid}/cmdline:${word}\0`))
            .join('')
          const byPid = (a: { pid: number }, b: { pid: number }): number => a.pid - b.pid
          assert.deepEqual(parseCommandLines(text).sort(byPid), processes.sort(byPid))
        },
      ),
    )
  })

  for (const [text, target, words] of [
    ['n2', { machine: 'n2', program: undefined }, 'n2'],
    [
      'controller-1/etcd',
      { machine: 'controller-1', program: { is: 'program', name: 'etcd' } },
      'etcd on controller-1',
    ],
    ['n1/shim:web/1', { machine: 'n1', program: { is: 'shim', pod: 'web/1' } }, 'the shims of pod web/1 on n1'],
  ] as const) {
    it(`takes ${text} for ${words}`, () => {
      assert.deepEqual(parseTarget(text), target)
      assert.equal(targetWords(text), words)
    })
  }
})
