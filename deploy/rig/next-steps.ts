/** What to type next on a rig that was made, and what it does. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment } from '../../proto/terminal/environment.ts'
import { DEFAULT_RIG } from './choice.ts'
import { installationRoot } from './installation.ts'

/** Longer commands stand out of line, that the others fit a terminal of 80 columns with what they do. */
const COLUMN = 44

export interface Made {
  readonly rig: string
  readonly nodes: readonly string[]
  /** The rig's own context file, where the person's has not its context. */
  readonly contextFile: string | undefined
  readonly kubeconfigFile: string
  readonly demo: boolean
}

/** A line each: as they stand, comments and all, they can be pasted into a shell. */
export function nextSteps(
  { rig, nodes, contextFile, kubeconfigFile, demo }: Made,
  environment: Pick<Environment, 'env' | 'cwd'>,
): string {
  const { env } = environment
  const gantry = callOf(environment)
  const inCluster = contextFile === undefined ? gantry : `${gantry} --config ${shellWord(contextFile)}`
  const named = (env.GANTRY_RIG || DEFAULT_RIG) === rig ? '' : ` ${rig}`
  const victim = nodes[0] ?? 'controller'
  const lines: [string, string][] = [
    [`${inCluster} get nodes`, 'the machines'],
    ...(demo
      ? ([
          [`${inCluster} logs deploy/hello`, 'what the pods print'],
          [`${inCluster} exec -it deploy/hello -- sh`, 'a shell in one'],
          [`${inCluster} scale deploy/hello --replicas 5`, ''],
          [`${inCluster} describe deploy/hello`, ''],
        ] as [string, string][])
      : []),
    [`export KUBECONFIG=${shellWord(kubeconfigFile)}`, 'for kubectl'],
    [`${gantry} rig status${named}`, 'its machines, faults in force'],
    [`${gantry} rig kill ${victim} --for 10s${named === '' ? '' : ` --rig${named}`}`, 'a machine that fails'],
    env.npm_lifecycle_event === 'up' && named === ''
      ? ['npm run down', 'ends it all']
      : [`${gantry} rig down${named}`, 'ends it all'],
  ]
  const width = Math.max(
    ...lines.map(([command, what]) => (what === '' || command.length > COLUMN ? 0 : command.length)),
  )
  return lines
    .map(([command, what]) => `  ${what === '' ? command : `${command.padEnd(width)}   # ${what}`}`)
    .join('\n')
}

/**
 * How the person can call gantry: as it was called, by npm's word or by its name if that is found; else by its file.
 */
function callOf({ env, cwd }: Pick<Environment, 'env' | 'cwd'>): string {
  if (env.npm_lifecycle_event !== undefined) return 'npx gantry'
  if ((env.PATH ?? '').split(':').some((folder) => folder !== '' && existsSync(join(folder, 'gantry')))) return 'gantry'
  const root = installationRoot()
  return cwd === root ? 'npx gantry' : shellWord(join(root, 'deploy/bin/gantry.cjs'))
}

/** A word as a shell reads it back. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
