/** What a planned write changes in an object, as a diff of YAML. Values of secrets are never shown. */
import { encodeJson } from '../proto/codec/codec.ts'
import type { AnyResource, JsonObject } from '../proto/gen/types.ts'
import type { ClusterClient } from '../proto/client/cluster.ts'
import type { Environment } from '../proto/terminal/environment.ts'
import { kindWord } from '../proto/client/kind-words.ts'
import { LAST_APPLIED } from '../proto/client/manifests/last-applied.ts'
import { palette } from '../proto/terminal/output/color.ts'
import { unifiedDiff } from './output/diff.ts'
import { formatYaml } from '../proto/base/yaml-text.ts'
import type { Step } from '../proto/client/manifests/apply-plan.ts'

/** Empty if nothing changes. */
export async function diffStep(
  cluster: ClusterClient,
  { manifest, object, configuration }: Step,
  { stdout, env }: Environment,
): Promise<string> {
  const { kind, namespace, name } = manifest
  const live = await cluster.find(kind, namespace, name)
  const [before, after] = maskSecrets(
    kind,
    live === undefined ? undefined : comparable(live),
    object === undefined ? configuration : comparable(object),
  )
  const file = `${namespace === '' ? '' : `${namespace}/`}${kindWord(kind)}/${name}`
  return unifiedDiff(
    before === undefined ? '' : formatYaml(before),
    formatYaml(after),
    { before: `live/${file}`, after: `merged/${file}` },
    palette(stdout, env),
  )
}

/** Without what the server counts up by itself. */
function comparable(object: AnyResource): JsonObject {
  const { status: _, ...json } = encodeJson(object)
  const { managedFields, resourceVersion, generation, uid, creationTimestamp, ...metadata } =
    json.metadata as JsonObject
  void [managedFields, resourceVersion, generation, uid, creationTimestamp]
  return { ...json, metadata }
}

const SECRET_FIELDS = ['data', 'stringData'] as const

/**
 * Values become stars, also those that the annotation of `kubectl apply` repeats; where one differs the two sides say
 * so.
 */
function maskSecrets(
  kind: string,
  before: JsonObject | undefined,
  after: JsonObject,
): [JsonObject | undefined, JsonObject] {
  if (kind !== 'Secret') return [before, after]
  const masked = (side: JsonObject, other: JsonObject | undefined, word: string): JsonObject => {
    const copy = { ...side }
    for (const field of SECRET_FIELDS) {
      const values = side[field] as JsonObject | undefined
      const others = other?.[field] as JsonObject | undefined
      if (values !== undefined)
        copy[field] = Object.fromEntries(
          Object.entries(values).map(([key, value]) => [
            key,
            others !== undefined && key in others && others[key] !== value ? `*** (${word})` : '***',
          ]),
        )
    }
    const annotations = annotationsOf(side)
    if (annotations?.[LAST_APPLIED] !== undefined) {
      const others = other === undefined ? undefined : annotationsOf(other)
      const differs = others?.[LAST_APPLIED] !== undefined && others[LAST_APPLIED] !== annotations[LAST_APPLIED]
      copy.metadata = {
        ...(side.metadata as JsonObject),
        annotations: { ...annotations, [LAST_APPLIED]: differs ? `*** (${word})` : '***' },
      }
    }
    return copy
  }
  return [before === undefined ? undefined : masked(before, after, 'before'), masked(after, before, 'after')]
}

function annotationsOf({ metadata }: JsonObject): JsonObject | undefined {
  return (metadata as JsonObject | undefined)?.annotations as JsonObject | undefined
}
