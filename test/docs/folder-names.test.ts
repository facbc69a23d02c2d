import assert from 'node:assert/strict'
import path from 'node:path'
import { readFolders, unnamedFolders } from './folder-names.ts'

describe('READMEs', () => {
  const table: [string, string[], Record<string, string>, string[]][] = [
    ['names', ['a/b'], { a: 'In `b/` are things.' }, []],
    ['does not name', ['a/b', 'a/c'], { a: '`b/` alone' }, ['a/c']],
    ['names only with what is before it', ['a/b'], { a: 'bb/ and c/b/' }, ['a/b']],
    ['names by a file in it', ['a/b'], { a: '(b/c.ts)' }, []],
    ['names by its way', ['a/b', 'a/b/c'], { a: '`b/`, `b/c/`' }, []],
    ['names, far above', ['a/b', 'a/b/c'], { a: '| `b/` | things, and `c/` |' }, []],
    ['does not name, where another is nearer', ['a/b', 'a/b/c'], { a: '`b/`, `c/`', 'a/b': 'nothing' }, ['a/b/c']],
  ]
  for (const [what, folders, readmes, unnamed] of table)
    it(`finds folders that a README ${what}`, () =>
      assert.deepEqual(unnamedFolders(folders, new Map(Object.entries(readmes))), unnamed))

  it('name every folder below them, down to the next README', () => {
    const root = path.join(import.meta.dirname, '../..')
    const { folders, readmes } = readFolders(root, ['proto', 'controller', 'agent', 'cli', 'deploy'])
    assert.ok(folders.length > 100 && readmes.size > 50, 'the source is read')
    assert.deepEqual(unnamedFolders(folders, readmes), [])
  })
})
