/**
 * Holds requests against ValidatingAdmissionPolicies, where bindings put them into force.
 * https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import { AdmissionRefusal } from '../../api/admission-refusal.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../../api/contract.ts'
import type { Informer } from '../../informer/contract.ts'
import { Candidates } from '../candidates.ts'
import { DerivedValue, PerObjectCache } from '../derived-value.ts'
import type { Matcher, NamespaceLookup } from '../matcher.ts'
import { describeSubject, VersionedAttributes } from '../versioned-attributes.ts'
import { evaluate, type Failure, type PolicyDecision } from './evaluation.ts'
import { paramsOf } from './params.ts'
import { bindingOf, Policy, type Binding } from './policy.ts'

export interface PolicyParts {
  readonly informer: Informer
  readonly namespaces: NamespaceLookup
  readonly authorizer: Authorizer
  readonly logger: Logger
}

interface BoundPolicy {
  readonly policy: Policy
  readonly bindings: readonly Binding[]
}

const CODES = { Unauthorized: 401, Forbidden: 403, RequestEntityTooLarge: 413, Invalid: 422 } as const

export class PoliciesPlugin implements AdmissionPlugin {
  readonly name = 'ValidatingAdmissionPolicy'
  readonly admitsControlPlane = true
  readonly #parts: PolicyParts
  readonly #inForce: Candidates<BoundPolicy>

  constructor(parts: PolicyParts) {
    const { informer } = parts
    const policies = new PerObjectCache<'ValidatingAdmissionPolicy', Policy>((policy) => new Policy(policy))
    this.#parts = parts
    const inForce = new DerivedValue(
      informer,
      ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'],
      (): readonly BoundPolicy[] => {
        const bindings = informer.lister('ValidatingAdmissionPolicyBinding').list().map(bindingOf)
        const bound = informer
          .lister('ValidatingAdmissionPolicy')
          .list()
          .filter(({ metadata: { name } }) => bindings.some(({ policyName }) => policyName === name))
        return policies
          .of(bound)
          .map((policy) => ({ policy, bindings: bindings.filter(({ policyName }) => policyName === policy.name) }))
      },
    )
    this.#inForce = new Candidates(inForce, ({ policy }) => policy.match)
  }

  handles(occasion: AdmissionRequestInfo): boolean {
    return this.#inForce.of(occasion).length > 0
  }

  async validate(attributes: AdmissionAttributes): Promise<void> {
    const subject = new VersionedAttributes(attributes)
    const denied: { policy: Policy; binding: Binding; failure: Failure }[] = []
    for (const { policy, bindings } of this.#inForce.of(attributes)) {
      const version = await this.#matched(policy.match, subject, false)
      if (version === undefined) continue
      for (const binding of bindings) {
        if (binding.match !== undefined && (await this.#matched(binding.match, subject, true)) === undefined) continue
        const verdict = await this.#verdict(policy, binding, subject, version)
        for (const failure of verdict.failures) {
          if (binding.actions.includes('Deny')) denied.push({ policy, binding, failure })
          if (binding.actions.includes('Warn'))
            attributes.context.warn?.(
              `Validation failed for ValidatingAdmissionPolicy '${policy.name}' with binding '${binding.name}': ${failure.message}`,
            )
        }
        this.#note(policy, binding, subject, verdict)
      }
    }
    const [first] = denied
    if (first !== undefined) throw refusal(subject, first.policy, first.binding, first.failure)
  }

  async #matched(match: Matcher, subject: VersionedAttributes, unruled: boolean): Promise<string | undefined> {
    const version = match.version(subject.matchAttributes, unruled)
    return version !== undefined &&
      match.selectsObject(subject) &&
      (await match.selectsNamespace(subject, this.#parts.namespaces))
      ? version
      : undefined
  }

  async #verdict(
    policy: Policy,
    binding: Binding,
    subject: VersionedAttributes,
    version: string,
  ): Promise<PolicyDecision> {
    const { informer, namespaces, authorizer } = this.#parts
    const { namespace } = subject.attributes
    try {
      const parts = { authorizer, version, namespace: namespace === '' ? undefined : await namespaces.get(namespace) }
      const verdicts = paramsOf(policy, binding, subject, informer).map((params) =>
        evaluate(policy, params, subject, parts),
      )
      return {
        failures: verdicts.flatMap(({ failures }) => failures),
        annotations: Object.assign({}, ...verdicts.map(({ annotations }) => annotations)) as Record<string, string>,
      }
    } catch (thrown) {
      if (!GantryError.is(thrown, 'FailedPrecondition') || thrown instanceof AdmissionRefusal) throw thrown
      return {
        failures: policy.ignoreFailures ? [] : [{ message: thrown.message, reason: 'Invalid' }],
        annotations: {},
      }
    }
  }

  /** There is no audit log but the controller's own. */
  #note(
    policy: Policy,
    binding: Binding,
    subject: VersionedAttributes,
    { failures, annotations }: PolicyDecision,
  ): void {
    const { logger } = this.#parts
    const fields = {
      policy: policy.name,
      binding: binding.name,
      subject: describeSubject(subject),
      user: subject.user.name,
    }
    if (binding.actions.includes('Audit') && failures.length > 0)
      logger.warn({ ...fields, failures }, 'a validating admission policy does not hold')
    if (Object.keys(annotations).length > 0)
      logger.info({ ...fields, annotations }, 'noted by a validating admission policy')
  }
}

function refusal(
  subject: VersionedAttributes,
  policy: Policy,
  binding: Binding,
  { message, reason }: Failure,
): AdmissionRefusal {
  const text = `ValidatingAdmissionPolicy '${policy.name}' with binding '${binding.name}' denied request: ${message}`
  const {
    resource: { group, plural },
    name,
  } = subject.matchAttributes
  return new AdmissionRefusal({
    code: CODES[reason],
    reason,
    message: `${describeSubject(subject)} is forbidden: ${text}`,
    details: { name, ...(group !== '' && { group }), kind: plural, causes: [{ message: text }] },
  })
}
