import assert from 'node:assert/strict'
import path from 'node:path'
import { absentFolders, readFolders, unnamedFiles, unnamedFolders } from './folder-names.ts'

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

  it('finds folders that are not there in the first column of a table of folders', () => {
    const readmes = new Map([
      ['a', '| folder | what |\n|---|---|\n| `b/`, `gone/` | `c/` and `other/` |\n'],
      ['a/b', 'In `old/` are things.\n\n| file | what |\n|---|---|\n| `old/` | things |'],
    ])
    assert.deepEqual(absentFolders(['a/b'], readmes), ['a/gone'])
  })

  it('finds files that a table of files beside them does not name', () => {
    const files = ['a/one.ts', 'a/two.ts', 'a/three.ts', 'a/four.ts', 'a/b/five.ts', 'c/six.ts']
    const readmes = new Map([
      ['a', '`four.ts` is the whole.\n\n| group | files |\n|---|---|\n| all | `one`, `twos`, `b/three` |'],
      ['a/b', 'There is no table.'],
      ['c', '| folder | its files |\n|---|---|\n| `d/` | `seven` |'],
    ])
    assert.deepEqual(unnamedFiles(files, readmes), ['a/two.ts', 'a/three.ts'])
  })

  describe('of the source', () => {
    const root = path.join(import.meta.dirname, '../..')
    const { folders, files, readmes } = readFolders(root, ['proto', 'controller', 'agent', 'cli', 'deploy'])

    it('are read', () => assert.ok(folders.length > 100 && files.length > 1000 && readmes.size > 50))

    it('name every folder below them, down to the next README', () =>
      assert.deepEqual(unnamedFolders(folders, readmes), []))

    it('have no folder in their tables that is not there', () => assert.deepEqual(absentFolders(folders, readmes), []))

    it('name every file, where they have a table of files', () => assert.deepEqual(unnamedFiles(files, readmes), []))
  })
})
