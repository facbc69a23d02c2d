import assert from 'node:assert/strict'
import { defineCommand, type Program } from '../../proto/terminal/command.ts'
import { completions } from '../../proto/terminal/completions.ts'
import type { Environment } from '../../proto/terminal/environment.ts'

describe('completions of any set of commands', () => {
  const command = (completes: 'rigs' | 'machines') =>
    defineCommand({
      usage: '',
      summary: 'does it',
      examples: [],
      flags: { rig: { type: 'text', help: 'which', completes: 'rig' } },
      completes,
    })
  const asked: string[] = []
  const program: Program = {
    name: 'test',
    says: '',
    unsupportedCommands: () => Promise.resolve({}),
    commands: {
      down: { group: 'A', summary: 'end one', load: () => Promise.resolve(command('rigs')) },
      kill: { group: 'A', summary: 'end a machine', load: () => Promise.resolve(command('machines')) },
      secret: { group: 'A', summary: 'not shown', hidden: true, load: () => Promise.resolve(command('rigs')) },
    },
    globalFlags: {},
    candidates: (completes, words) => {
      asked.push(words.join(' '))
      return Promise.resolve(
        (completes === 'rigs' ? ['lab', 'other'] : ['n1', 'n2']).map((word) => ({ word, description: completes })),
      )
    },
  }
  const complete = (...words: string[]): Promise<string> =>
    completions(words, { env: {} } as Environment, program, false)

  const cases: [string, string[], string][] = [
    ['commands, but hidden ones', [''], 'down\nkill\n'],
    ['what only they know, as an operand', ['down', 'l'], 'lab\n'],
    ['one where one is meant', ['down', 'lab', ''], ''],
    ['several where several are meant', ['kill', 'n1', ''], 'n1\nn2\n'],
    ['the last of a list', ['kill', 'n1,n'], 'n1,n1\nn1,n2\n'],
    ["a flag's value", ['kill', '--rig', 'o'], 'other\n'],
    ['flags', ['kill', '--r'], '--rig\n'],
    ['commands again behind a word that is none', ['nope', ''], 'down\nkill\n'],
  ]
  for (const [what, words, expected] of cases) {
    it(`offer ${what}`, async () => {
      assert.equal(await complete(...words), expected)
    })
  }

  it('are told the line so far', async () => {
    asked.length = 0
    await complete('kill', '--rig', 'lab', 'n')
    assert.deepEqual(asked, ['kill --rig lab'])
  })
})
