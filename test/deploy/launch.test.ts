/** What starts Gantry's programs: the committed files that npm links, and the launcher with its code caches. */
import assert from 'node:assert/strict'
import { build } from 'esbuild'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run, type CommandResult } from '../../proto/base/command.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: Record<string, string> }

describe('programs of the package', function () {
  this.timeout(20_000)
  let folder: string
  const node = (...args: string[]): Promise<CommandResult> =>
    run(process.execPath, args, { allow: [0, 1, 2, 3], cwd: folder })

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gantry-launch-'))))
  afterEach(() => rmSync(folder, { recursive: true }))

  describe('the committed launchers', () => {
    beforeEach(() => cpSync(join(ROOT, 'deploy/bin'), join(folder, 'deploy/bin'), { recursive: true }))

    const pretendBuild = (): void => {
      mkdirSync(join(folder, 'dist'))
      for (const name of Object.keys(bin))
        writeFileSync(join(folder, `dist/${name}.cjs`), `console.log('${name}', ...process.argv.slice(2))`)
      writeFileSync(join(folder, 'dist/complete'), '')
    }

    it('are files that git knows', async () => {
      const { stdout } = await run('git', ['ls-files', '--stage', ...Object.values(bin)], { cwd: ROOT })
      assert.deepEqual(
        stdout
          .trim()
          .split('\n')
          .map((line) => line.split(/\s+/))
          .map(([mode, , , path]) => [mode, path]),
        Object.values(bin)
          .sort()
          .map((path) => ['100755', path]),
      )
    })

    for (const [name, path] of Object.entries(bin)) {
      it(`say how to build ${name}, and start it once it is built`, async () => {
        const { code, stdout, stderr } = await node(path, 'get', 'pods')
        assert.deepEqual([code, stdout], [1, ''])
        assert.match(
          stderr,
          new RegExp(`^error: ${name} is not built yet in ${folder}\n\nRun one of these there:\n {2}npm run up `),
        )
        pretendBuild()
        assert.deepEqual(await node(path, 'get', 'pods'), { code: 0, stdout: `${name} get pods\n`, stderr: '' })
      })
    }

    it('are found by npx in a clone that was not built when npx was first asked', async () => {
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'gantry', version: '0.1.0', bin }))
      const env = {
        ...process.env,
        npm_config_cache: join(folder, 'cache'),
        npm_config_offline: 'true',
        npm_config_update_notifier: 'false',
      }
      const npx = (): Promise<CommandResult> =>
        run('npx', ['gantry', 'version'], { cwd: folder, env, allow: [0, 1, 127] })
      const before = await npx()
      assert.equal(before.code, 1)
      assert.match(before.stderr, /gantry is not built yet/)
      pretendBuild()
      const { code, stdout } = await npx()
      assert.deepEqual([code, stdout], [0, 'gantry version\n'])
    })
  })

  describe('the code cache', () => {
    const main = (): string => join(folder, 'tool-main.cjs')
    const caches = (): string[] =>
      existsSync(join(folder, 'cache'))
        ? readdirSync(join(folder, 'cache'))
            .map((file) => file.split('.').slice(0, -1).join('.'))
            .sort()
        : []

    beforeEach(async () => {
      await build({
        entryPoints: [join(ROOT, 'deploy/launch.ts')],
        outfile: join(folder, 'tool.cjs'),
        bundle: true,
        platform: 'node',
        format: 'cjs',
        banner: { js: '#!/usr/bin/env node' },
      })
      chmodSync(join(folder, 'tool.cjs'), 0o755)
      writeFileSync(
        main(),
        'const say = () => console.log(process.argv[2], __filename, typeof require, __dirname)\nsay()\nrequire("node:os")\nprocess.exit(process.argv[2] === "typo" ? 2 : 0)',
      )
    })

    it('is made for each command, and for none that does not exist', async () => {
      const expected = (word: string): CommandResult => ({
        code: 0,
        stdout: `${word} ${main()} function ${folder}\n`,
        stderr: '',
      })
      for (const word of ['get', 'get', 'apply', '--help'])
        assert.deepEqual(await node('tool.cjs', word), expected(word))
      assert.equal((await node('tool.cjs', 'typo')).code, 2)
      assert.deepEqual(caches(), ['tool', 'tool.apply', 'tool.get'])
    })

    it('is made again where it is damaged, and not used for another build of the same length', async () => {
      await node('tool.cjs', 'get')
      const [cache] = readdirSync(join(folder, 'cache')).map((file) => join(folder, 'cache', file))
      writeFileSync(cache!, 'damaged')
      assert.match((await node('tool.cjs', 'get')).stdout, /^get /)
      assert.notEqual(readFileSync(cache!, 'latin1'), 'damaged')
      writeFileSync(
        main(),
        readFileSync(main(), 'utf8').replace('console.log(process.argv[2],', 'console.log(process.argv[0],'),
      )
      utimesSync(main(), new Date(), new Date(0)) // whatever the file system's clock
      assert.match((await node('tool.cjs', 'get')).stdout, new RegExp(`^${process.execPath} `))
    })
  })
})
