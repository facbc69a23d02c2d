/**
 * The linter with the project's own rules (oxlint.config.js), over a small tree in which each is broken: a rule that is
 * no longer in force says nothing, which nobody would notice.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { run } from '../../proto/base/command.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const TIME = 'export const now = Date.now()\nexport const date = new Date()\nsetTimeout(() => undefined, 1)\n'
const CASES =
  "export const f = (of: 'a' | 'b'): number => {\n  switch (of) {\n    case 'a':\n      return 1\n    default:\n      return 2\n  }\n}\n"
const CLOCK = ['no-restricted-properties', 'structure(syntax)', 'no-restricted-globals']

/** A file, and the rules that find something in it. */
const FILES: Readonly<Record<string, readonly [text: string, ...rules: string[]]>> = {
  'controller/scheduler/one.ts': ["import '../../agent/config.ts'\n", 'no-restricted-imports', 'structure(directions)'],
  'controller/scheduler/time.ts': [TIME, ...CLOCK],
  'controller/scheduler/main.ts': [TIME],
  'controller/api/kind.ts': ["export const kind = 'Deployment'\n", 'structure(syntax)'],
  'controller/api/pod-writes.ts': ["export const kind = 'Pod'\n"],
  'controller/kube/face.ts': ["import '../store/memory.ts'\n", 'no-restricted-imports'],
  'controller/store/upwards.ts': ["import '../api/objects.ts'\n", 'structure(directions)'],
  'agent/network/text.ts': ["export const args = ['-batch']\n", 'structure(syntax)'],
  'agent/network/node-commands.ts': ["export const args = ['-batch']\n"],
  'proto/merge/a.ts': ["import './b.ts'\n", 'structure(no-circles)'],
  'proto/merge/b.ts': ["import './a.ts'\n", 'structure(no-circles)'],
  'cli/types.ts': ['export const text: string = 1\nexport const any: any = 1\n', 'TS2322', 'no-explicit-any'],
  'cli/promise.ts': ['Promise.resolve(1)\nexport {}\n', 'no-floating-promises'],
  'cli/unused.ts': ['const unused = 1\nexport {}\n', 'no-unused-vars'],
  'cli/comment.ts': [`// ${'word '.repeat(30)}\nexport {}\n`, 'structure(comment-width)'],
  'cli/cases.ts': [CASES, 'switch-exhaustiveness-check'],
  'test/cases.ts': [CASES],
}

describe('the linter', function () {
  this.timeout(60_000)
  let folder: string

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'gantry-lint-'))
    await mkdir(path.join(folder, 'test'))
    for (const name of ['test/lint', 'node_modules']) await symlink(path.join(ROOT, name), path.join(folder, name))
    const config = JSON.stringify(path.join(ROOT, 'oxlint.config.js'))
    const settings = `{ structure: { ...config.settings.structure, root: import.meta.dirname } }`
    await writeFile(
      path.join(folder, 'oxlint.config.mjs'),
      `import config from ${config}\nexport default { ...config, settings: ${settings} }\n`,
    )
    for (const name of ['proto', 'controller', 'agent', 'cli', 'deploy']) await mkdir(path.join(folder, name))
    const options = {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      allowImportingTsExtensions: true,
    }
    await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...options, types: [] } }))
    for (const [name, [text]] of Object.entries(FILES)) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
      await writeFile(path.join(folder, name), text)
    }
  })

  after(() => rm(folder, { recursive: true }))

  it('finds what each rule is for, where it is in force and nowhere else', async () => {
    const oxlint = path.join(ROOT, 'node_modules/oxlint/bin/oxlint')
    const { stdout } = await run(
      process.execPath,
      [oxlint, '-c', 'oxlint.config.mjs', '-f', 'json', ...Object.keys(FILES)],
      { cwd: folder, allow: [1], timeout: 50_000 },
    )
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: { filename: string; code: string }[] }
    const found = (file: string): string[] =>
      diagnostics.filter(({ filename }) => filename === file).map(({ code }) => code)
    for (const [file, [, ...rules]] of Object.entries(FILES)) {
      // An import of what is not there is found beside the rule.
      const codes = found(file).filter((code) => !/TS2307|TS2304|TS2882/.test(code))
      assert.equal(codes.length, rules.length, `${file}: ${codes.join()}`)
      for (const rule of rules)
        assert.ok(
          codes.some((code) => code.includes(rule)),
          `${file}: ${codes.join()}, not ${rule}`,
        )
    }
  })
})
