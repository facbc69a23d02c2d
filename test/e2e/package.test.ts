/**
 * Gantry as other projects have it: packed, installed, imported; and the worked project that tests an application with
 * it.
 */
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, type CommandResult } from '../../proto/base/command.ts'
import { ROOT } from './cluster.ts'

const PROJECT = join(ROOT, 'deploy/examples/rig/app')
const ANY_CODE = Array.from({ length: 256 }, (_, code) => code)

describe('the package in other projects', function () {
  this.timeout(180_000)
  let folder: string
  let types: Promise<CommandResult>

  /** The compiler looks at a program that uses all of it. */
  function compile(): Promise<CommandResult> {
    writeFileSync(
      join(folder, 'typed.mts'),
      `
      import { Rig, type RigOptions } from 'gantry/rig'
      import { useRig } from 'gantry/rig/mocha'
      import { GantryContainer, type StartedGantryContainer } from 'gantry/testcontainers'
      const started: () => Promise<StartedGantryContainer> = () => new GantryContainer().withNodes(2).withReuse().start()
      const options: RigOptions = { nodes: 2 }
      const address: (rig: Rig) => string = (rig) => rig.node('n1').address
      const shared: Promise<Rig> = useRig(options)
      // @ts-expect-error there is no such method
      const wrong = (rig: Rig): unknown => rig.explode()
      export { address, shared, started, wrong }
    `,
    )
    return run(
      process.execPath,
      [
        join(ROOT, 'node_modules/typescript/bin/tsc'),
        '--noEmit',
        '--strict',
        '--skipLibCheck',
        '--module',
        'nodenext',
        '--target',
        'es2022',
        '--types',
        'node',
        'typed.mts',
      ],
      { cwd: folder, timeout: 60_000 },
    )
  }

  /** A folder with `gantry` installed as npm would from its package, and mocha beside it. */
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-project-'))
    const modules = join(folder, 'node_modules')
    mkdirSync(join(modules, 'gantry'), { recursive: true })
    // As before every packing, but for the bundles, which other tests use meanwhile.
    await run('npm', ['run', '--silent', 'types'], { cwd: ROOT, timeout: 120_000 })
    await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
      cwd: ROOT,
      timeout: 60_000,
    })
    const packed = readdirSync(folder).find((name) => name.endsWith('.tgz'))!
    await run('tar', ['-xzf', join(folder, packed), '-C', join(modules, 'gantry'), '--strip-components=1'])
    for (const name of readdirSync(join(ROOT, 'node_modules')).filter((one) => one !== 'mocha' && !one.startsWith('.')))
      symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
    // What mocha requires it looks for from where it really is.
    cpSync(join(ROOT, 'node_modules/mocha'), join(modules, 'mocha'), { recursive: true })
    for (const name of ['package.json', 'tally.yaml', 'test'])
      cpSync(join(PROJECT, name), join(folder, name), { recursive: true })
    // It works while the first test mostly waits.
    types = compile()
    types.catch(() => undefined)
  })

  after(() => rmSync(folder, { recursive: true }))

  const mocha = (...args: string[]): Promise<CommandResult> =>
    run(
      process.execPath,
      [join(folder, 'node_modules/mocha/bin/mocha.js'), '--no-color', '--require', 'gantry/rig/mocha', ...args],
      {
        cwd: folder,
        timeout: 150_000,
        allow: ANY_CODE,
        env: { ...process.env, GANTRY_RIG_LOGS: join(folder, 'logs') },
      },
    )

  it('runs the worked project: an application on three nodes, through what happens to nodes', async () => {
    const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { scripts: { test: string } }
    assert.equal(
      scripts.test,
      "mocha --require gantry/rig/mocha --timeout 180000 'test/**/*.test.mjs'",
      'run here as it is run there',
    )
    const { code, stdout, stderr } = await mocha('--timeout', '180000', 'test/**/*.test.mjs')
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /4 passing/)
  })

  it('keeps the logs of a test that fails, and prints where', async () => {
    writeFileSync(
      join(folder, 'failing.mjs'),
      `
      import assert from 'node:assert/strict'
      import { keepLogs, useNamespace, useRig } from 'gantry/rig/mocha'
      import { GantryError, Rig } from 'gantry/rig'
      let namespace
      before(async function () {
        this.timeout(60000)
        await useRig({ nodes: 1 })
      })
      it('fails', async () => {
        namespace = await useNamespace()
        await (await useRig()).partition(['n1'])
        assert.fail('on purpose')
      })
      it('finds the same rig, healed, and its namespace gone', async () => {
        const rig = await useRig()
        assert.ok(rig instanceof Rig)
        assert.deepEqual((await rig.faults()).filter(({ ended }) => ended === undefined), [])
        await rig.until('namespace/' + namespace, 'Deleted')
        await assert.rejects(rig.client.get('Pod', 'default', 'nobody'), (error) => error instanceof GantryError && error.code === 'NotFound')
        assert.throws(() => useRig({ nodes: 2 }), /was made with {"nodes":1}/)
      }).timeout(30000)
    `,
    )
    const { code, stdout, stderr } = await mocha('failing.mjs')
    assert.equal(code, 1, stdout + stderr)
    assert.match(stdout, /1 passing[\s\S]*1 failing/, stdout + stderr)
    const [, file = ''] = /logs of the rig: (\S+)/.exec(stderr) ?? []
    assert.match((await run('tar', ['-tzf', file])).stdout, /machines\/n1\/log/)
  })

  it('has types', async () => {
    await types.catch((error: unknown) => assert.fail(String(error)))
  })
})
