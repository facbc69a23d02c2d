/**
 * Which admission plugins look at a request, and their turn at it.
 * https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
 */
import { clone } from '../../proto/base/clone.ts'
import { then } from '../../proto/base/maybe-promise.ts'
import { applyDefaults } from '../../proto/codec/defaults.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from './contract.ts'

const NONE: readonly AdmissionPlugin[] = []

export class AdmissionPlugins {
  readonly #all: readonly AdmissionPlugin[]
  readonly #intrinsic: readonly AdmissionPlugin[]

  /** They are asked in this order. */
  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#all = plugins
    this.#intrinsic = plugins.filter(({ admitsControlPlane: intrinsic }) => intrinsic === true)
  }

  /**
   * Those that have anything to say of such a request. Of the control plane's own writes only intrinsic ones are asked.
   */
  of(occasion: AdmissionRequestInfo): readonly AdmissionPlugin[] {
    const asked = occasion.context.user === undefined ? this.#intrinsic : this.#all
    const found = asked.filter((plugin) => plugin.handles(occasion))
    return found.length === 0 ? NONE : found
  }
}

/**
 * Lets each change `attributes.object` in place, gives what they have added its defaults, has the object validated by
 * `settle`, and asks each once more; at once as long as none of them has to wait. Throws, or rejects with, the first
 * refusal. `memory`: of the write, if it is tried more than once.
 */
export function runAdmission(
  plugins: readonly AdmissionPlugin[],
  attributes: AdmissionAttributes,
  settle: () => void,
  memory?: AdmissionResultCache,
): void | Promise<void> {
  const mutating = plugins.filter(({ mutate }) => mutate !== undefined)
  const mutated = inTurn(mutating, (plugin) =>
    plugin.remote === true && memory !== undefined ? memory.mutate(plugin, attributes) : plugin.mutate!(attributes),
  )
  return then(mutated, () => {
    if (attributes.object !== undefined && mutating.length > 0) applyDefaults(attributes.object)
    settle()
    return inTurn(plugins, (plugin) => {
      if (plugin.validate === undefined) return undefined
      return plugin.remote === true && memory !== undefined
        ? memory.validate(plugin, attributes)
        : plugin.validate(attributes)
    })
  })
}

/** One after the other, without waiting for those that are done at once. */
function inTurn(
  plugins: readonly AdmissionPlugin[],
  ask: (plugin: AdmissionPlugin) => void | Promise<void>,
  from = 0,
): void | Promise<void> {
  for (let index = from; index < plugins.length; index++) {
    const asked = ask(plugins[index]!)
    if (asked instanceof Promise) return asked.then(() => inTurn(plugins, ask, index + 1))
  }
}

interface AdmissionResult {
  /** What was asked about. */
  readonly about: string
  /** What became of the object. */
  readonly object: AnyResource | undefined
  readonly refusal: unknown
}

/** What remote plugins have answered within one write, which may be tried several times as it meets others. */
export class AdmissionResultCache {
  readonly #changed = new Map<AdmissionPlugin, AdmissionResult>()
  readonly #judged = new Map<AdmissionPlugin, AdmissionResult>()

  async mutate(plugin: AdmissionPlugin, attributes: AdmissionAttributes): Promise<void> {
    const { object } = attributes
    const known = await this.#ask(this.#changed, plugin, attributes, () => plugin.mutate!(attributes))
    if (known.object !== undefined && object !== undefined) replaceContent(object, known.object)
  }

  async validate(plugin: AdmissionPlugin, attributes: AdmissionAttributes): Promise<void> {
    await this.#ask(this.#judged, plugin, attributes, () => plugin.validate!(attributes))
  }

  async #ask(
    answers: Map<AdmissionPlugin, AdmissionResult>,
    plugin: AdmissionPlugin,
    attributes: AdmissionAttributes,
    ask: () => void | Promise<void>,
  ): Promise<AdmissionResult> {
    const about = `${comparable(attributes.object)}\n${comparable(attributes.oldObject)}`
    let answer = answers.get(plugin)
    if (answer?.about !== about) {
      let refusal: unknown
      try {
        await ask()
      } catch (thrown) {
        refusal = thrown
      }
      answer = { about, object: attributes.object === undefined ? undefined : clone(attributes.object), refusal }
      answers.set(plugin, answer)
    }
    if (answer.refusal !== undefined) throw answer.refusal
    return answer
  }
}

/** But for what the store counts, and who owns what: that differs with every try. */
function comparable(object: AnyResource | undefined): string {
  return object === undefined
    ? ''
    : JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: '', managedFields: undefined } })
}

/** Makes an object what another is, in place, but for what belongs to its place in the store. */
export function replaceContent(object: AnyResource, content: AnyResource): void {
  const { resourceVersion, managedFields } = object.metadata
  const kept = { ...clone(content), metadata: { ...clone(content.metadata), resourceVersion, managedFields } }
  for (const name of Object.keys(object))
    if (!(name in kept)) delete (object as unknown as Record<string, unknown>)[name]
  Object.assign(object, kept)
}
