/** `npm run up` and `npm run down`: a cluster on this one machine, with a demo running on it. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { Progress } from './progress.ts'
import { pushDemoImages } from './demo.ts'
import { createRig, isRunning, MAX_NODES, registryOf, removeRig } from './rig.ts'
import { readRig, type RigRecord } from './rig-record.ts'

const USAGE = `usage: npm run up [-- --nodes N] [--name NAME] [--no-demo]
       npm run down [-- --name NAME]`

const DEFAULT_NAME = 'default'

/** What to type next, and what it does. */
const NEXT = [['npx gantry get nodes', 'the machines']] as const
const NEXT_DEMO = [
  ['npx gantry logs deploy/hello', 'what the pods print'],
  ['npx gantry exec -it deploy/hello -- sh', 'a shell in one'],
  ['npx gantry scale deploy/hello --replicas 5', ''],
  ['npx gantry describe deploy/hello', ''],
] as const

/** The checkout or installation: the nearest folder above with machine-init in it. */
function findRoot(): string {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'deploy/rig/machine-init'))) {
    const parent = dirname(directory)
    if (parent === directory) throw new Error('deploy/rig/machine-init is missing from this installation')
    directory = parent
  }
  return directory
}

function usage(problem: string): never {
  process.stderr.write(`${problem}\n${USAGE}\n`)
  process.exit(2)
}

/** Runs the command line against a rig, with this terminal. */
function gantry(root: string, rig: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'dist/gantry.cjs'), '--context', rig, ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', reject)
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`gantry ${args.join(' ')} ended with exit code ${code}`))))
  })
}

async function up(name: string, nodes: number, demo: boolean): Promise<void> {
  const root = findRoot()
  const found = await readRig(name)
  let rig: RigRecord
  if (found !== undefined && isRunning(found)) {
    process.stdout.write(`The cluster "${name}" is already running, with ${found.nodes} nodes.\n`)
    if (found.nodes !== nodes && process.argv.includes('--nodes')) process.stdout.write(`For another number of nodes: npm run down, then npm run up -- --nodes ${nodes}\n`)
    rig = found
    if (demo) await pushDemoImages(registryOf(rig)) // it may have been made without
  } else {
    if (found !== undefined) await removeRig(name)
    const progress = new Progress(`Cluster "${name}"`)
    try {
      rig = await createRig({ name, nodes, root, progress: (text) => progress.show(text), fillRegistry: demo ? pushDemoImages : async () => undefined })
    } finally {
      progress.end()
    }
    process.stdout.write(`Cluster "${name}": 1 controller, ${nodes} node${nodes === 1 ? '' : 's'}, registry ${registryOf(rig)}\n\n`)
  }
  if (demo) {
    await gantry(root, name, ['apply', '-f', join(root, 'deploy/examples/hello'), '--wait'])
    process.stdout.write('\n')
    await gantry(root, name, ['get', 'pods', '-o', 'wide'])
  }
  process.stdout.write(`\nNext:\n${[...NEXT, ...(demo ? NEXT_DEMO : []), [`npm run down${name === DEFAULT_NAME ? '' : ` -- --name ${name}`}`, 'ends it all']].map(([command, what]) => `  ${command.padEnd(43)}${what}`.trimEnd()).join('\n')}\n`)
}

async function down(name: string): Promise<void> {
  process.stdout.write(await removeRig(name) ? `The cluster "${name}" is gone.\n` : `No cluster "${name}" is running.\n`)
}

async function main(): Promise<void> {
  const { values, positionals } = (() => {
    try {
      return parseArgs({ allowPositionals: true, options: { nodes: { type: 'string', default: '3' }, name: { type: 'string', default: DEFAULT_NAME }, 'no-demo': { type: 'boolean', default: false } } })
    } catch (thrown) {
      return usage((thrown as Error).message)
    }
  })()
  const nodes = Number(values.nodes)
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES) usage(`--nodes must be a number from 1 to ${MAX_NODES}, not "${values.nodes}"`)
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(values.name)) usage(`--name must be lower-case letters, digits and dashes, not "${values.name}"`)
  if (process.getuid?.() !== 0) usage('a rig needs root: it makes namespaces, mounts and cgroups')
  switch (positionals[0]) {
    case 'up':
      return up(values.name, nodes, !values['no-demo'])
    case 'down':
      return down(values.name)
    default:
      return usage(positionals[0] === undefined ? 'up or down?' : `unknown command "${positionals[0]}"`)
  }
}

main().catch((thrown: unknown) => {
  process.stderr.write(`error: ${(thrown as Error).message}\n`)
  process.exitCode = 1
})
