/** `up` and `down` as a person runs them: nothing is left behind, whatever happened in between. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../proto/base/command.ts'
import { eventually } from '../eventually.ts'
import { rigName, ROOT } from './cluster.ts'

const NAME = rigName('lifecycle')

function folders(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [join(directory, entry.name), ...folders(join(directory, entry.name))] : []))
}

/** Everything of the host that a rig could leave something in. */
async function footprint(): Promise<Record<string, string[]>> {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => existsSync(`/proc/${pid}/cmdline`) && new RegExp(`gantry.*${NAME}`).test(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')))
  return {
    mounts: readFileSync('/proc/self/mounts', 'utf8').trim().split('\n').sort(),
    interfaces: (JSON.parse((await run('ip', ['-json', 'link', 'show'])).stdout) as { ifname: string }[]).map(({ ifname }) => ifname).sort(),
    routes: (await run('ip', ['route', 'show'])).stdout.trim().split('\n').sort(),
    rules: (await run('nft', ['list', 'ruleset'])).stdout.trim().split('\n'),
    cgroups: folders('/sys/fs/cgroup').filter((path) => path.includes('gantry')).sort(),
    files: ['/var/lib/gantry/rigs', '/run/gantry'].filter((path) => existsSync(path)).flatMap((path) => readdirSync(path).map((name) => join(path, name))),
    forwarding: [readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8')],
    namespaces: existsSync('/run/netns') ? readdirSync('/run/netns').sort() : [],
    processes,
  }
}

describe('up and down', function () {
  this.timeout(120_000)
  let home: string
  let before: Awaited<ReturnType<typeof footprint>>
  const rig = async (...args: string[]): Promise<string> => (await run(process.execPath, [join(ROOT, 'dist/gantry-rig.cjs'), ...args, '--name', NAME], { timeout: 100_000, env: { ...process.env, GANTRY_CONFIG: join(home, 'config.yaml'), NO_COLOR: '1' } })).stdout

  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'gantry-lifecycle-'))
    before = await footprint()
  })

  afterEach(async () => {
    await rig('down')
    rmSync(home, { recursive: true })
  })

  it('starts the demo, finds the running cluster, and leaves nothing', async () => {
    const first = await rig('up', '--nodes', '1')
    assert.match(first, /1 controller, 1 node,/)
    assert.equal(first.match(/^hello-\S+ +1\/1 +Running .* n1 /gm)?.length, 3)
    const second = await rig('up', '--nodes', '1')
    assert.match(second, /already running/)
    assert.match(await rig('down'), /is gone/)
    assert.deepEqual(await footprint(), before)
    assert.match(await rig('down'), /No cluster/)
  })

  it('removes what an `up` left that was killed half-way', async () => {
    const child = spawn(process.execPath, [join(ROOT, 'dist/gantry-rig.cjs'), 'up', '--nodes', '2', '--name', NAME], { stdio: 'ignore', env: { ...process.env, GANTRY_CONFIG: join(home, 'config.yaml') } })
    const ended = new Promise((resolve) => child.on('exit', resolve))
    const record = `/var/lib/gantry/rigs/${NAME}/rig.json`
    await eventually(() => existsSync(record) && (JSON.parse(readFileSync(record, 'utf8')) as { machines: unknown[] }).machines.length >= 2)
    child.kill('SIGKILL')
    await ended
    assert.match(await rig('down'), /is gone/)
    assert.deepEqual(await footprint(), before)
  })

  it('refuses a count of nodes that is none', async () => {
    await assert.rejects(rig('up', '--nodes', 'many'), /--nodes must be a number/)
  })
})
