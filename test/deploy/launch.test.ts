/** What starts Gantry's programs: the committed files that npm links, and the launcher with its code caches. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { LABEL_SIZE } from '../../deploy/code-cache.ts'
import { run, type CommandResult } from '../../proto/base/command.ts'
import { until } from '../eventually.ts'

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
    const beside = (): string => join(folder, 'cache')
    const own = (): string => join(folder, 'home/.cache/gantry/code', encodeURIComponent(folder))
    const caches = (where = beside()): string[] => (existsSync(where) ? readdirSync(where).sort() : [])
    const tool = (...args: string[]): Promise<CommandResult> =>
      run(process.execPath, ['tool.cjs', ...args], {
        allow: [0, 1, 2, 3],
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: join(folder, 'home'), GANTRY_LOG_LEVEL: 'debug' },
      })
    /** As bundle.mjs makes bundles. */
    const writeMain = (body: string): void =>
      writeFileSync(main(), `(function (exports, require, module, __filename, __dirname) {\n${body}\n})`)
    const said = (word: string): CommandResult => ({ code: 0, stdout: `${word}\n`, stderr: '' })

    /** Puts in the place of a cache code that says something else, as if it were of this bundle. */
    const poison = async (...args: string[]): Promise<void> => {
      const path = join(beside(), ['tool', ...args].join('.'))
      writeMain('const say = () => console.log("bad")\nsay()')
      for (let time = 0; time < 3; time++) await tool(...args)
      const bad = readFileSync(path)
      writeMain('const say = () => console.log("one")\nsay()')
      rmSync(beside(), { recursive: true })
      for (let time = 0; time < 3; time++) await tool(...args)
      const label = readFileSync(path).subarray(-LABEL_SIZE)
      writeFileSync(path, Buffer.concat([bad.subarray(0, -LABEL_SIZE), label]))
    }

    beforeEach(async () => {
      mkdirSync(join(folder, 'home'))
      await build({
        entryPoints: [join(ROOT, 'deploy/launch.ts')],
        outfile: join(folder, 'tool.cjs'),
        bundle: true,
        platform: 'node',
        format: 'cjs',
        banner: { js: '#!/usr/bin/env node' },
      })
      chmodSync(join(folder, 'tool.cjs'), 0o755)
      writeMain('const say = () => console.log("one")\nsay()')
    })

    it('is made for each command, and for none that does not exist', async () => {
      writeMain(
        'const say = () => console.log(process.argv[2], __filename, typeof require, __dirname)\nsay()\nrequire("node:os")\nprocess.exit(process.argv[2] === "typo" ? 2 : 0)',
      )
      for (const word of ['get', 'get', 'apply', '--help'])
        assert.deepEqual(await tool(word), said(`${word} ${main()} function ${folder}`))
      assert.equal((await tool('typo')).code, 2)
      assert.deepEqual(caches(), ['tool', 'tool.apply', 'tool.get'])
    })

    it('is used, and written by the first runs that succeed', async () => {
      const path = join(beside(), 'tool.get')
      const states: string[] = []
      writeMain('console.log("one")\nprocess.exitCode = Number(process.argv[3] ?? 0)')
      for (const exit of ['3', '3', '0', '0', '0']) {
        await tool('get', exit)
        states.push(readFileSync(path, 'latin1'))
      }
      const runs = states.map((text) => /"runs":(\d)/.exec(text)![1])
      assert.deepEqual(runs, ['1', '1', '2', '3', '3'])
      assert.equal(states[4], states[3])
    })

    it('is written by what goes on for long before it is ended', async () => {
      writeMain('setInterval(() => undefined, 1000)')
      // The launcher's own patience, made short.
      const launcher = join(folder, 'tool.cjs')
      writeFileSync(launcher, readFileSync(launcher, 'utf8').replace(/\b1e4\b|\b10_?000\b/g, '50'))
      const child = spawn(process.execPath, [launcher, 'serve'], { stdio: 'ignore', env: {} })
      const ended = new Promise((resolve) => child.once('close', resolve))
      await until('there is a cache', () => caches().includes('tool.serve'))
      child.kill('SIGKILL')
      await ended
    })

    it('is for a command at first what all have in common', async () => {
      await poison()
      assert.deepEqual(await tool('get'), said('bad'))
      assert.deepEqual(caches(), ['tool', 'tool.get'])
    })

    it('is made again where it is damaged', async () => {
      await tool('get')
      const path = join(beside(), 'tool.get')
      const whole = readFileSync(path)
      for (const damaged of [
        Buffer.from('damaged'),
        Buffer.alloc(0),
        whole.subarray(0, -1),
        Buffer.alloc(whole.length),
      ]) {
        writeFileSync(path, damaged)
        assert.deepEqual(await tool('get'), said('one'))
        assert.notDeepEqual(readFileSync(path), damaged)
      }
    })

    it('is never used for another bundle, whatever that has in common with the one before', async () => {
      writeMain('const say = () => console.log("one")\nsay()')
      const { atime, mtime, size } = statSync(main())
      for (const word of ['one', 'two', 'six']) {
        writeMain(`const say = () => console.log("${word}")\nsay()`)
        utimesSync(main(), atime, mtime)
        assert.equal(statSync(main()).size, size)
        for (let time = 0; time < 2; time++) assert.deepEqual(await tool('get'), said(word))
      }
      // Another file in its place, of the same name, size and time.
      const other = join(folder, 'other.cjs')
      writeFileSync(other, readFileSync(main(), 'utf8').replace('six', 'ten'))
      utimesSync(other, atime, mtime)
      renameSync(other, main())
      assert.deepEqual(await tool('get'), said('ten'))
    })

    it('is used for the same bundle elsewhere, as in the layers of an image', async () => {
      await tool('get')
      const before = readFileSync(join(beside(), 'tool.get'))
      const copy = join(folder, 'copy.cjs')
      writeFileSync(copy, readFileSync(main()))
      renameSync(copy, main())
      for (let time = 0; time < 3; time++) assert.deepEqual(await tool('get'), said('one'))
      const after = readFileSync(join(beside(), 'tool.get'), 'latin1')
      assert.match(before.toString('latin1'), /"runs":1/)
      assert.match(after, /"runs":3/)
    })

    it('is not used where another user could have written it', async () => {
      await poison('get')
      assert.deepEqual(await tool('get'), said('bad'), 'a cache that is trusted is believed')
      chmodSync(join(beside(), 'tool.get'), 0o664)
      assert.deepEqual(await tool('get'), said('one'))
      await poison('get')
      chmodSync(beside(), 0o777)
      assert.deepEqual(await tool('get'), said('one'))
      chmodSync(beside(), 0o755)
      if (process.geteuid!() !== 0) return
      await poison('get')
      chownSync(join(beside(), 'tool.get'), 12_345, 12_345)
      assert.deepEqual(await tool('get'), said('one'))
      await poison('get')
      const real = join(folder, 'elsewhere')
      renameSync(join(beside(), 'tool.get'), real)
      symlinkSync(real, join(beside(), 'tool.get'))
      assert.deepEqual(await tool('get'), said('one'))
    })

    it("is among the user's own files where none can be written beside the bundle", async () => {
      writeFileSync(beside(), '') // no folder, also for root
      for (let time = 0; time < 4; time++) assert.deepEqual(await tool('get'), said('one'))
      assert.deepEqual(caches(own()), ['tool.get'])
      assert.equal(statSync(own()).mode & 0o022, 0)
      assert.match(readFileSync(join(own(), 'tool.get'), 'latin1'), /"runs":3/)
    })

    it('is done without where none can be written at all', async () => {
      writeFileSync(beside(), '')
      rmSync(join(folder, 'home'), { recursive: true })
      const { code, stdout, stderr } = await tool('get')
      assert.deepEqual([code, stdout], [0, 'one\n'])
      assert.match(stderr, /^no code cache: .*\n$/)
    })
  })
})
