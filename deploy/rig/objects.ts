/**
 * Objects into a rig's cluster and out of it, as `gantry apply` and `gantry delete` do: from files, texts of objects,
 * or objects.
 */
import { fileURLToPath } from 'node:url'
import { type ClusterClient } from '../../proto/client/cluster.ts'
import { awaitGone } from '../../proto/client/gone-wait.ts'
import { collectManifests, type Manifest } from '../../proto/client/manifests/manifests.ts'
import { readSources } from '../../proto/client/manifests/sources.ts'
import type { ObjectKey } from '../../proto/client/object-key.ts'
import { parseNames } from '../../proto/client/operands.ts'
import { executePlan, planApply } from '../../proto/client/manifests/apply-plan.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import { systemClock } from '../../proto/base/clock.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import { FIELD_MANAGER } from '../../proto/client/cluster-options.ts'

/**
 * A file or directory (path or file: URL), an http(s) address, or objects as a manifest has them: defaults, status and
 * what the server adds may be missing.
 */
export type Manifests = string | URL | object | readonly object[]

const NAMESPACE = 'default'

async function read(
  manifests: Manifests,
  namespace: string | undefined,
  cluster: ClusterClient,
  signal: AbortSignal,
): Promise<Manifest[]> {
  const place = manifests instanceof URL ? placeOf(manifests) : manifests
  const texts =
    typeof place === 'string'
      ? await readSources([place], true, { cwd: process.cwd(), stdin: process.stdin, clock: systemClock, signal })
      : [{ name: 'objects', text: listText(Array.isArray(place) ? place : [place]) }]
  return collectManifests(texts, {
    namespace: { given: namespace, fallback: namespace ?? NAMESPACE },
    kinds: cluster.kinds,
    cluster: () => Promise.resolve(cluster),
  })
}

function listText(items: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
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
  const steps = await planApply(cluster, await read(manifests, namespace, cluster, signal), options)
  const objects: AnyResource[] = []
  await executePlan(cluster, steps, options, (_step, object) => void objects.push(object))
  return objects
}

/** "deployment/web" in a namespace; UsageError (InvalidArgument) for what names no object of a known kind. */
export function objectNamed(text: string, namespace: string | undefined, known: KnownKinds): ObjectKey {
  const [named] = parseNames([text], known.kinds(), known)
  return { ...named!, namespace: resourceOf(named!.kind).namespaced ? (namespace ?? NAMESPACE) : '' }
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
      ? [objectNamed(objects, namespace, cluster.kinds)]
      : (await read(objects, namespace, cluster, signal)).reverse()
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
  await awaitGone(cluster, gone.flat(), { clock: systemClock, signal, timeout })
}
