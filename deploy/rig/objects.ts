/**
 * Objects into a rig's cluster and out of it, as `gantry apply` and `gantry delete` do: from files, texts of objects,
 * or objects.
 */
import { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { FIELD_MANAGER } from '../../proto/client/cluster.ts'
import { awaitGone } from '../../cli/commands/delete.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { readManifests, type Manifest } from '../../proto/client/manifests/manifests.ts'
import { parseNames } from '../../proto/client/operands.ts'
import { executePlan, planApply } from '../../proto/client/manifests/apply-plan.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { resourceOf, resources } from '../../proto/schema/schema.ts'
import { systemClock } from '../../proto/base/clock.ts'
import type { AnyResource, Kind } from '../../proto/gen/types.ts'

/**
 * A file or directory (path or file: URL), an http(s) address, or objects as a manifest has them: defaults, status and
 * what the server adds may be missing.
 */
export type Manifests = string | URL | object | readonly object[]

const NAMESPACE = 'default'

/** What the command line's own code is given here: nothing to read from, nobody who reads what it says. */
export function quietEnvironment(signal: AbortSignal, input: string): Environment {
  const nobody = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() })
  return {
    env: process.env,
    cwd: process.cwd(),
    stdin: Readable.from([input]),
    stdout: nobody(),
    stderr: nobody(),
    clock: systemClock,
    signal,
    loadConnect: async () => (await import('../../proto/rpc/rpc.ts')).connect,
    onResize: () => () => undefined,
    runOnTerminal: async () => {
      throw new GantryError('Unsupported', 'there is no terminal here')
    },
  }
}

function read(
  manifests: Manifests,
  namespace: string | undefined,
  environment: (input: string) => Environment,
): Promise<Manifest[]> {
  const place = manifests instanceof URL ? placeOf(manifests) : manifests
  const [source, input] =
    typeof place === 'string'
      ? [place, '']
      : ['-', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: Array.isArray(place) ? place : [place] })]
  return readManifests({ filename: [source], recursive: true }, environment(input), {
    given: namespace,
    fallback: namespace ?? NAMESPACE,
  })
}

function placeOf(url: URL): string {
  return url.protocol === 'file:' ? fileURLToPath(url) : url.href
}

/**
 * Makes the cluster match the manifests, by server-side apply; the objects as they are then. Nothing is written if one
 * is refused: errors name each field with its place.
 */
export async function applyManifests(
  cluster: ClusterClient,
  manifests: Manifests,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<AnyResource[]> {
  const options = { fieldManager: FIELD_MANAGER, force: false, set: undefined }
  const steps = await planApply(
    cluster,
    await read(manifests, namespace, (input) => quietEnvironment(signal, input)),
    options,
  )
  const objects: AnyResource[] = []
  await executePlan(cluster, steps, options, (_step, object) => void objects.push(object))
  return objects
}

export interface Named {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

/** "deployment/web" in a namespace; UsageError (InvalidArgument) for what names no object. */
export function objectNamed(text: string, namespace = NAMESPACE): Named {
  const [named] = parseNames(
    [text],
    resources.map(({ kind }) => kind as Kind),
  )
  return { ...named!, namespace: resourceOf(named!.kind).namespaced ? namespace : '' }
}

/**
 * Deletes objects and waits until they are gone; those that are not there are no error. `graceSeconds`: instead of what
 * a pod says.
 */
export async function deleteObjects(
  cluster: ClusterClient,
  objects: Manifests,
  {
    namespace,
    graceSeconds,
    timeout,
  }: { namespace: string | undefined; graceSeconds: number | undefined; timeout: number },
  signal: AbortSignal,
): Promise<void> {
  const named =
    typeof objects === 'string' && /^[a-z.]+\/[^/]+$/.test(objects)
      ? [objectNamed(objects, namespace)]
      : (await read(objects, namespace, (input) => quietEnvironment(signal, input))).reverse()
  const gone = await Promise.all(
    named.map(async (object): Promise<AnyResource[]> => {
      try {
        return [await cluster.delete(object.kind, object.namespace, object.name, { gracePeriodSeconds: graceSeconds })]
      } catch (thrown) {
        if (GantryError.is(thrown, 'NotFound')) return []
        throw thrown
      }
    }),
  )
  await awaitGone(cluster, quietEnvironment(signal, ''), gone.flat(), timeout)
}
