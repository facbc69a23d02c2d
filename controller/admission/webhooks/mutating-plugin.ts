/** Asks mutating webhooks, one after the other, and makes the changes that they want. */
import { inspectJson, inspectMessage } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { applyJsonPatch } from '../../../proto/merge/patch.ts'
import {
  DecodingError,
  describeWarning,
  isStrictOnly,
  problemError,
  type Problem,
} from '../../../proto/base/problem.ts'
import { setOwn } from '../../../proto/base/json.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { AdmissionResponse, AnyResource, JsonObject, JsonValue } from '../../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../../api/contract.ts'
import { hasStatus } from '../../objects/object-section.ts'
import { replaceContent } from '../../api/plugins.ts'
import { scalePathsOf } from '../../objects/scale-form.ts'
import { Candidates } from '../candidates.ts'
import type { DerivedValue } from '../derived-value.ts'
import { describeSubject, VersionedAttributes } from '../versioned-attributes.ts'
import { failed, type WebhookDispatcher } from './dispatcher.ts'
import { patchOf } from './review.ts'
import type { Webhook } from './webhook.ts'

export class MutatingWebhooksPlugin implements AdmissionPlugin {
  readonly name = 'MutatingAdmissionWebhook'
  readonly admitsControlPlane = true
  readonly remote = true
  readonly #webhooks: Candidates<Webhook>
  readonly #caller: WebhookDispatcher
  readonly #logger: Logger

  constructor(webhooks: DerivedValue<readonly Webhook[]>, caller: WebhookDispatcher, logger: Logger) {
    this.#webhooks = new Candidates(webhooks, ({ match }) => match)
    this.#caller = caller
    this.#logger = logger
  }

  handles(occasion: AdmissionRequestInfo): boolean {
    return this.#webhooks.of(occasion).length > 0
  }

  /** Those that want it are asked once more when a later one has changed the object. */
  async mutate(attributes: AdmissionAttributes): Promise<void> {
    const subject = new VersionedAttributes(attributes)
    /** How often the object had been changed when a webhook was last asked. */
    const asked = new Map<Webhook, number>()
    let changes = 0
    const webhooks = this.#webhooks.of(attributes)
    for (const webhook of webhooks) {
      const changed = await this.#ask(webhook, subject)
      if (changed === undefined) continue
      if (changed) changes++
      asked.set(webhook, changes)
    }
    for (const webhook of webhooks) {
      const before = asked.get(webhook)
      if (webhook.reinvoke && before !== undefined && before < changes && (await this.#ask(webhook, subject)) === true)
        changes++
    }
  }

  /** Whether it has changed the object; undefined if it was not asked. */
  async #ask(webhook: Webhook, subject: VersionedAttributes): Promise<boolean | undefined> {
    const version = await this.#caller.matchVersion(webhook, subject)
    if (version === undefined) return undefined
    const response = await this.#caller.dispatch(webhook, subject, version)
    if (response === undefined) return false
    const before = subject.object(version)
    const patched = this.#patched(webhook, before, response)
    if (patched === undefined || JSON.stringify(patched) === JSON.stringify(before)) return false
    this.#take(webhook, subject, patched)
    subject.changed()
    return true
  }

  /** A patch that cannot be made fails the write, whatever the webhook's failurePolicy: it has been asked. */
  #patched(webhook: Webhook, before: JsonObject | null, response: AdmissionResponse): JsonValue | undefined {
    try {
      const patch = patchOf(response)
      if (patch === undefined || (Array.isArray(patch) && patch.length === 0)) return undefined
      if (before === null)
        throw new GantryError(
          'FailedPrecondition',
          'it attempted to modify the object, which is not supported for this operation',
        )
      return applyJsonPatch(before, patch)
    } catch (thrown) {
      throw failed(webhook, thrown)
    }
  }

  #take(webhook: Webhook, subject: VersionedAttributes, patched: JsonValue): void {
    const { object, subresource } = subject.attributes
    try {
      if (object === undefined)
        throw new GantryError(
          'FailedPrecondition',
          'it attempted to modify what is sent to a subresource, which is not supported',
        )
      const paths = subresource === 'scale' ? scalePathsOf(object) : undefined
      if (paths !== undefined) {
        const scale = this.#read(webhook, subject, inspectMessage('Scale', patched))
        set(object, paths.replicas, scale.spec.replicas ?? 0)
        return
      }
      const next = this.#read(
        webhook,
        subject,
        inspectJson(object.kind, patched, { allowDuplicateKeys: true }),
      ) as AnyResource
      confine(next, object, subresource)
      applyDefaults(next)
      replaceContent(object, next)
    } catch (thrown) {
      // The object has become one that is refused, as it would be if who writes had sent it.
      throw thrown instanceof DecodingError ? thrown : failed(webhook, thrown)
    }
  }

  /** What Gantry does not know, or does not act on, is left out, and told of. */
  #read<T>(
    webhook: Webhook,
    subject: VersionedAttributes,
    { object, problems }: { readonly object: T; readonly problems: readonly Problem[] },
  ): T {
    const wrong = problems.filter((problem) => !isStrictOnly(problem))
    if (wrong.length > 0) throw problemError(wrong)
    const { warn } = subject.attributes.context
    for (const problem of problems) {
      if (warn !== undefined) warn(`admission webhook "${webhook.name}": ${describeWarning(problem)}`)
      else
        this.#logger.warn(
          { webhook: webhook.name, subject: describeSubject(subject), problem: describeWarning(problem) },
          'an admission webhook adds what is left out',
        )
    }
    return object
  }
}

/** What is the control plane's own stays as it was, and what another subresource writes. */
function confine(next: AnyResource, before: AnyResource, subresource: string): void {
  const kept = before.metadata
  const { name, namespace } = next.metadata
  if (name !== kept.name || namespace !== kept.namespace)
    throw new GantryError('InvalidArgument', 'it may not change the name or namespace of the object')
  next.metadata = {
    ...next.metadata,
    generateName: kept.generateName,
    selfLink: kept.selfLink,
    uid: kept.uid,
    generation: kept.generation,
    creationTimestamp: kept.creationTimestamp,
    deletionTimestamp: kept.deletionTimestamp,
    deletionGracePeriodSeconds: kept.deletionGracePeriodSeconds,
  }
  if (subresource === 'status' || !hasStatus(before)) return
  const [to, from] = [next as { status?: unknown }, before as { status?: unknown }]
  if ('status' in from) to.status = from.status
  else delete to.status
}

function set(object: object, path: readonly string[], value: JsonValue): void {
  const parent = path
    .slice(0, -1)
    .reduce((step, name) => (step[name] ??= {}) as Record<string, unknown>, object as Record<string, unknown>)
  setOwn(parent as JsonObject, path.at(-1)!, value)
}
