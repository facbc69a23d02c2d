/**
 * The scenarios of deploy/examples/rig on real machines, as a person runs them; and one that fails, and one that is
 * interrupted.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Rig } from '../../deploy/rig/rig.ts'
import { removeRig } from '../../deploy/rig/removal.ts'
import type { ScenarioResult } from '../../deploy/rig/scenario/result.ts'
import { run, type CommandResult } from '../../proto/base/command.ts'
import { eventually } from '../eventually.ts'
import { rigName, ROOT } from './cluster.ts'
import { footprintOf, marks } from './footprint.ts'

const PROGRAM = join(ROOT, 'dist/gantry-rig.cjs')
const EXAMPLES = join(ROOT, 'deploy/examples/rig')
const NAME = rigName('scenarios')

describe('scenarios', function () {
  this.timeout(120_000)
  let home: string
  const environment = (): NodeJS.ProcessEnv => ({
    ...process.env,
    GANTRY_CONFIG: join(home, 'config.yaml'),
    NO_COLOR: '1',
  })
  const scenario = (...args: string[]): Promise<CommandResult> =>
    run(process.execPath, [PROGRAM, 'run', '--logs', home, ...args], {
      cwd: EXAMPLES,
      timeout: 110_000,
      env: environment(),
      allow: [0, 1, 2, 130],
    })
  const file = (text: string): string => {
    const path = join(home, 'scenario.yaml')
    writeFileSync(path, text)
    return path
  }
  const passes = async (...args: string[]): Promise<void> => {
    const { code, stdout, stderr } = await scenario(...args)
    assert.equal(code, 0, `${stdout}${stderr}`)
  }

  before(() => {
    home = mkdtempSync(join(tmpdir(), 'gantry-scenarios-'))
  })

  after(() => {
    rmSync(home, { recursive: true })
  })

  it('control plane partitioned and healed, on a rig of its own', async () => {
    const { code, stdout, stderr } = await scenario(
      'control-plane-partitioned.yaml',
      '--junit',
      join(home, 'results.xml'),
    )
    assert.equal(code, 0, `${stdout}${stderr}`)
    const [, name] = /✓ rig (\S+): 3 controllers, 1 node /.exec(stdout) ?? []
    assert.notEqual(name, undefined, stdout)
    assert.deepEqual(marks(await footprintOf(name!)), [])
    assert.match(
      readFileSync(join(home, 'results.xml'), 'utf8'),
      /<testsuite name="control plane partitioned and healed".* failures="0" errors="0" skipped="0"/,
    )
  })

  describe('on a rig that is there', () => {
    let rig: Rig | undefined

    before(async () => {
      await removeRig(NAME)
      rig = await Rig.up({ name: NAME, nodes: 3 })
    })

    after(async () => {
      await rig?.down()
    })

    it('agent killed under 20 running pods, none restarted', () => passes('agent-killed.yaml', '--rig', NAME))

    it('rolling update while a node is killed', () => passes('rolling-update.yaml', '--rig', NAME))

    it('leave it as it was', async () => {
      const { items } = await rig!.client.list('Namespace', { namespace: '' })
      assert.deepEqual(
        items.map(({ metadata }) => metadata.name).filter((name) => name === 'rolling' || name === 'adopted'),
        [],
      )
      assert.deepEqual((await rig!.client.list('Pod', { namespace: '' })).items, [])
      assert.deepEqual(
        (await rig!.faults()).filter(({ ended }) => ended === undefined),
        [],
      )
    })

    it('see http answers, logs and commands where they are asked for', () =>
      passes(
        '--rig',
        NAME,
        file(`
steps:
  - apply:
      apiVersion: apps/v1
      kind: Deployment
      metadata: { name: web }
      spec:
        replicas: 3
        selector: { matchLabels: { app: web } }
        template:
          metadata: { labels: { app: web } }
          spec:
            terminationGracePeriodSeconds: 1
            containers: [{ name: web, image: gantry/hello:1.0 }]
  - until: deployment/web
  - remember:
      pod: { objects: pods, selector: app=web, fields: spec.nodeName=n1, path: .metadata.name }
      ip: { objects: pods, selector: app=web, fields: spec.nodeName=n1, path: .status.podIP }
  - check: { http: "http://$registry/v2/" }
  - check: { http: "http://$registry/v2/", on: n2, contains: "{" }
  - until: { http: ":8080/", pods: app=web, status: 404 }
  - check: { http: "http://$ip:8080/", on: n1, status: 404 }
  - check: { logs: pod/$pod, contains: listening on port 8080 }
  - check: { run: wget -S http://$ip:8080/ 2>&1, on: pod/$pod, exit: 1, contains: "404" }
  - check: { run: [hostname], on: pod/$pod, is: $pod }
  - always: { http: ":8080/", pods: app=web, status: 404, every: 50ms }
    name: every request is answered
    during:
      - kill: n1/agent
      - check: { unchanged: ip }
      - until: { run: "pgrep -f '[g]antry-agent.cjs'", on: n1 }
  - delete: { objects: pods, selector: app=web, grace: 0 }
`),
      ))

    it('tell of a failure with what was seen, and keep the logs', async () => {
      const { code, stdout } = await scenario(
        '--rig',
        NAME,
        '-o',
        'json',
        file(`
name: bound to fail
steps:
  - stop: n3
  - always: { object: node/n3, condition: Ready }
    name: n3 is ready
  - until: { object: node/n3, condition: Ready=Unknown }
  - heal:
`),
      )
      assert.equal(code, 1)
      const [{ status, steps, archive, problems }] = JSON.parse(stdout) as [ScenarioResult]
      assert.deepEqual(problems, [])
      assert.equal(status, 'failed')
      assert.deepEqual(
        steps.map((step) => step.status),
        ['passed', 'failed', 'stopped', 'skipped'],
      )
      assert.match(steps[1]!.failure!.seen!, /^node\/n3: Ready=(Unknown|False)/)
      assert.equal((await run('tar', ['-tzf', archive!])).stdout.includes('machines/n3/'), true)
      await eventually(async () => (await rig!.machine('n3').state()) === 'running')
      await rig!.until('node/n3', 'Ready')
    })

    it('are refused whole before anything is done', async () => {
      const before = await rig!.faults()
      const { code, stdout, stderr } = await scenario(
        '--rig',
        NAME,
        file('steps:\n  - kill: n1\n  - kill: n4\n  - untli: pod/a\n'),
      )
      assert.equal(code, 2)
      assert.equal(stdout, '')
      assert.deepEqual(
        stderr
          .trim()
          .split('\n')
          .map((line) => line.replace(`${home}/`, '').split(': ').slice(0, 2).join(': ')),
        ['scenario.yaml:3:11: steps[1].kill', 'scenario.yaml:4:5: steps[2].untli'],
      )
      assert.deepEqual(await rig!.faults(), before)
    })
  })

  it('interrupted, leaves nothing', async () => {
    const child = spawn(
      process.execPath,
      [PROGRAM, 'run', '--logs', home, file('rig: { nodes: 1 }\nsteps:\n  - stop: n1\n  - pause: 10m\n')],
      { stdio: ['ignore', 'pipe', 'ignore'], env: environment() },
    )
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    await eventually(() => said.includes('✓ 1 stop n1'), 60_000)
    child.kill('SIGINT')
    assert.equal(await ended, 130)
    assert.match(said, /■ 2 pause 10m[\s\S]*interrupted/)
    const [, name] = /✓ rig (\S+): /.exec(said)!
    assert.deepEqual(marks(await footprintOf(name!)), [])
    assert.equal(existsSync(home) && readdirSync(home).some((entry) => entry.startsWith('gantry-scenario')), false)
  })
})
