import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { nextSteps } from '../../../deploy/rig/next-steps.ts'
import { run } from '../../../proto/base/command.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
const MADE = {
  rig: 'default',
  nodes: ['n1', 'n2'],
  contextFile: undefined,
  kubeconfigFile: '/var/lib/gantry/rigs/default/kubeconfig',
  demo: true,
}
const NPM_UP = { env: { npm_lifecycle_event: 'up', PATH: '/bin' }, cwd: ROOT }

describe('what to type next', () => {
  const commands = (text: string): string[] => text.split('\n').map((line) => line.trim().replace(/ +#.*$/, ''))

  it('is what npm runs, for who called it by npm, and fits 80 columns', () => {
    const text = nextSteps(MADE, NPM_UP)
    assert.deepEqual(commands(text), [
      'npx gantry get nodes',
      'npx gantry logs deploy/hello',
      'npx gantry exec -it deploy/hello -- sh',
      'npx gantry scale deploy/hello --replicas 5',
      'npx gantry describe deploy/hello',
      'export KUBECONFIG=/var/lib/gantry/rigs/default/kubeconfig',
      'npx gantry rig status',
      'npx gantry rig kill n1 --for 10s',
      'npm run down',
    ])
    for (const line of text.split('\n')) assert.ok(line.length <= 80, line)
  })

  it('names the rig where another is meant without, and a machine that there is', () => {
    const steps = (rig: string, env: Record<string, string>): string[] =>
      commands(
        nextSteps({ ...MADE, rig, nodes: [], demo: false }, { env: { npm_lifecycle_event: 'npx', ...env }, cwd: '/' }),
      ).slice(2)
    assert.deepEqual(steps('lab', {}), [
      'npx gantry rig status lab',
      'npx gantry rig kill controller --for 10s --rig lab',
      'npx gantry rig down lab',
    ])
    assert.deepEqual(steps('lab', { GANTRY_RIG: 'lab' })[0], 'npx gantry rig status')
    assert.deepEqual(steps('default', { GANTRY_RIG: 'lab' })[0], 'npx gantry rig status default')
  })

  it('names the context file where the person has not the context', () => {
    assert.equal(
      commands(nextSteps({ ...MADE, contextFile: '/rigs/my lab/context.yaml' }, NPM_UP))[0],
      "npx gantry --config '/rigs/my lab/context.yaml' get nodes",
    )
  })

  it('calls gantry as the person can: by its name where that is found, else by its file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-path-'))
    try {
      const first = (PATH: string, cwd: string): string | undefined =>
        commands(nextSteps(MADE, { env: { PATH }, cwd }))[0]
      assert.equal(first(folder, '/'), `${join(ROOT, 'deploy/bin/gantry.cjs')} get nodes`)
      assert.equal(first(folder, ROOT), 'npx gantry get nodes')
      writeFileSync(join(folder, 'gantry'), '')
      assert.equal(first(`/bin:${folder}`, '/'), 'gantry get nodes')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('can be pasted into a shell whole', async () => {
    const script = `npx() { echo "$@"; }; npm() { echo "$@"; }\n${nextSteps({ ...MADE, kubeconfigFile: "/it's a/kubeconfig" }, NPM_UP)}\necho "$KUBECONFIG"`
    const { stdout } = await run('sh', ['-c', script])
    assert.match(stdout, /^gantry get nodes\ngantry logs deploy\/hello\n[\s\S]*\nrun down\n\/it's a\/kubeconfig\n$/)
  })
})
