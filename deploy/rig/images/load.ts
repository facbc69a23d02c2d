/** Puts images onto nodes without a registry: each node's agent takes the archive. */
import { GantryError } from '../../../proto/base/errors.ts'
import { Semaphore } from '../../../proto/base/semaphore.ts'
import type { Driver, Machine } from '../contract.ts'
import { openImage } from './image-source.ts'

export interface LoadedImage {
  /** "docker.io/library/app:1" */
  readonly reference: string
  readonly digest: string
}

export interface LoadOptions {
  /** What the archive's only image is called, or its only one without a name: REPOSITORY:TAG. */
  readonly name?: string | undefined
  readonly signal: AbortSignal
  /** Told after each node. */
  readonly progress?: (done: number, nodes: number) => void
}

/** Milliseconds for one node. */
const PATIENCE = 300_000
const AT_ONCE = 4

/**
 * Loads an archive, an OCI layout or an image of the Docker engine here onto each of these nodes. What they have then.
 * A failure on some nodes is told with their names, and leaves the image on the others; loading again is no harm.
 */
export async function loadImage(
  image: string,
  driver: Driver,
  nodes: readonly Machine[],
  { name, signal, progress }: LoadOptions,
): Promise<readonly LoadedImage[]> {
  const source = await openImage(image, signal)
  try {
    const turns = new Semaphore(AT_ONCE)
    let done = 0
    const outcomes = await Promise.allSettled(
      nodes.map((node) =>
        turns.run(async () => {
          const { node: program, dist } = driver.installation
          const command = [
            program,
            `${dist}/gantry-agent.cjs`,
            'images',
            'load',
            '--run-dir',
            node.spec.runDir,
            ...(name === undefined ? [] : ['--name', name]),
          ]
          const { stdout } = await node.run(command, { stdin: source.open(), timeout: PATIENCE, signal })
          progress?.(++done, nodes.length)
          return parseLoaded(stdout)
        }, signal),
      ),
    )
    const failed = outcomes.flatMap((outcome, at) =>
      outcome.status === 'rejected' ? [{ node: nodes[at]!.spec.name, error: GantryError.from(outcome.reason) }] : [],
    )
    if (failed.length > 0) throw failure(source.says, failed, nodes.length)
    return outcomes[0]?.status === 'fulfilled' ? outcomes[0].value : []
  } finally {
    await source.close()
  }
}

function parseLoaded(stdout: string): LoadedImage[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [reference = '', digest = ''] = line.split(' ')
      return { reference, digest }
    })
}

/** One reason for all is told once. */
function failure(what: string, failed: readonly { node: string; error: GantryError }[], nodes: number): GantryError {
  const reasonOf = ({ error }: (typeof failed)[number]): string =>
    error.message.replace(/^.* exited with \d+: (gantry-agent: )?/s, '')
  const reasons = new Map<string, string[]>()
  for (const one of failed) reasons.set(reasonOf(one), [...(reasons.get(reasonOf(one)) ?? []), one.node])
  const told = [...reasons]
    .map(([reason, names]) => (names.length === nodes ? reason : `${names.join(', ')}: ${reason}`))
    .join('\n')
  return new GantryError(
    failed[0]!.error.code === 'Internal' ? 'InvalidArgument' : failed[0]!.error.code,
    `${what} cannot be loaded: ${told}`,
    { cause: failed[0]!.error },
  )
}
