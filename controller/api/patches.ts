/** What a patch, or a configuration that is applied, makes of a stored object. Pure. */
import { encodeJson } from '../../proto/codec/codec.ts'
import { customKinds } from '../../proto/schema/custom/definitions.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { applyConfiguration } from '../../proto/merge/ownership.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from '../../proto/merge/patch.ts'
import { DecodingError, problemError } from '../../proto/base/problem.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import type { AnyResource, JsonObject, JsonValue, Kind, Resources } from '../../proto/gen/types.ts'
import { isUnconditional, resourceVersionConflict } from '../objects/preconditions.ts'
import type { PatchOptions, WriteContext, WriteSubresource } from './contract.ts'
import type { Strategy } from '../kinds/strategy.ts'
import { decodeObject } from './field-validation.ts'
import { named } from '../objects/identity.ts'
import { lastApplied, recordLastApplied } from './last-applied.ts'

/**
 * The stored object with a patch. InvalidArgument for a patch that does not fit, that renames the object, or that makes
 * something else of it.
 */
export function patched<K extends Kind>(
  stored: Resources[K],
  patch: Pick<PatchOptions, 'type' | 'patch' | 'apiVersion'>,
  context: WriteContext,
): Resources[K] {
  const {
    kind,
    metadata: { name, namespace },
  } = stored as AnyResource
  const wanted = decodeObject(
    kind as K,
    result(kind, encodeJson(stored, { apiVersion: patch.apiVersion, full: true }), patch),
    context,
  )
  if (wanted.metadata.name === name && wanted.metadata.namespace === namespace) return wanted
  throw new GantryError('InvalidArgument', `a patch cannot rename ${describeObject(stored)}`, {
    details: [{ field: 'metadata.name', value: wanted.metadata.name, message: 'is part of the patch' }],
  })
}

function result(kind: Kind, target: JsonObject, { type, patch }: Pick<PatchOptions, 'type' | 'patch'>): JsonValue {
  switch (type) {
    case 'MERGE':
      return applyMergePatch(target, patch)
    case 'JSON':
      return applyJsonPatch(target, patch)
    case 'STRATEGIC':
      return applyStrategicPatch(kind, target, patch)
  }
}

/**
 * The manager's name of Gantry's own command line: whoever scales and then applies with it means what the file says,
 * and is not told that he is in his own way.
 */
const COMMAND_LINE = 'gantry'

export interface ApplyOptions {
  /** Takes what others own. */
  readonly force: boolean
  readonly subresource: WriteSubresource
  readonly strategy: Strategy
  readonly context: WriteContext
  readonly now: () => number
}

/**
 * The configuration as an object. A field that a custom kind does not have is refused however strictly it is to be
 * read, as Kubernetes does. DecodingError.
 */
function decodeApplied<K extends Kind>(
  kind: K,
  configuration: JsonValue,
  { context, subresource }: ApplyOptions,
): Resources[K] {
  const { fieldValidation, warn } = context
  const isCustom = customKinds.get(kind) !== undefined
  const decoding = { dropReadOnly: subresource !== 'status', repeats: false }
  try {
    return decodeObject(kind, configuration, { fieldValidation: isCustom ? 'Strict' : fieldValidation, warn }, decoding)
  } catch (thrown) {
    if (!(thrown instanceof DecodingError)) throw thrown
    throw problemError(
      thrown.problems.map((problem) =>
        problem.unknownOrDuplicate === true ? { ...problem, undeclared: true } : problem,
      ),
    )
  }
}

/**
 * A configuration as it is merged: decoded, in canonical form, of one object and no other, in the form in which its
 * kind is stored.
 */
export class AppliedConfiguration<K extends Kind> {
  readonly #kind: K
  readonly #configuration: JsonObject
  /** The version that it is meant for; empty: whichever there is. */
  readonly #resourceVersion: string
  readonly #options: ApplyOptions

  /** InvalidArgument for a configuration of another object. DecodingError. */
  constructor(kind: K, namespace: string, name: string, configuration: JsonValue, options: ApplyOptions) {
    const decoded = decodeApplied(kind, configuration, options)
    const { metadata } = decoded
    for (const [field, said, meant] of [
      ['name', metadata.name, name],
      ['namespace', metadata.namespace, namespace],
    ] as const) {
      if (said !== '' && said !== meant)
        throw new GantryError('InvalidArgument', `the configuration is not of ${named(kind, namespace, name)}`, {
          details: [{ field: `metadata.${field}`, value: said, message: `is not ${JSON.stringify(meant)}` }],
        })
    }
    const object = { ...decoded, metadata: { ...metadata, namespace, name } } as AnyResource
    options.strategy.prepareConfiguration?.(object)
    this.#kind = kind
    this.#configuration = encodeJson(object)
    this.#resourceVersion = metadata.resourceVersion
    this.#options = options
  }

  /** The stored object as the configuration wants it, with its owners; the same one if nothing changes. Conflict. */
  mergedInto(stored: Resources[K]): Resources[K] {
    if (!isUnconditional(this.#resourceVersion) && this.#resourceVersion !== stored.metadata.resourceVersion)
      throw resourceVersionConflict(stored, this.#resourceVersion)
    const { fieldManager } = this.#options.context
    const { object, changed } = this.#merge(encodeJson(stored), lastApplied(stored as AnyResource, fieldManager))
    const told = recordLastApplied(object, this.#configuration, fieldManager)
    return changed || told ? decodeObject(this.#kind, object, {}) : stored
  }

  /** What it makes where there is nothing. Conflict if it is meant for what was there. */
  create(): Resources[K] {
    const object = decodeObject(this.#kind, this.#merge(undefined).object, {})
    if (!isUnconditional(this.#resourceVersion))
      throw new GantryError(
        'Conflict',
        `${describeObject(object)} is not there: its version ${this.#resourceVersion} is gone`,
        {
          details: [
            {
              field: 'metadata.resourceVersion',
              value: this.#resourceVersion,
              message: 'there is no such object',
              remedy: 'leave it out to create it',
            },
          ],
        },
      )
    return object
  }

  #merge(live: JsonObject | undefined, lastApplied?: JsonObject): { object: JsonObject; changed: boolean } {
    const { force, context, subresource, now } = this.#options
    const { fieldManager: manager } = context
    return applyConfiguration({
      kind: this.#kind,
      live,
      configuration: this.#configuration,
      manager,
      force,
      takesOwnUpdates: manager === COMMAND_LINE,
      lastApplied,
      now: now(),
      subresource,
    })
  }
}
