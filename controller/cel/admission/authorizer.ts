/**
 * authorizer in expressions: whether somebody may do something.
 * https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library
 */
import type { Attributes, Authorizer, Decision } from '../../authorization/authorizer.ts'
import type { User } from '../../api/contract.ts'
import type { Declarations } from '../program.ts'
import type { ExpressionSubject } from './subject.ts'

type Asked = Omit<Attributes, 'user' | 'verb'>

export class AuthorizerValue {
  readonly authorizer: Authorizer
  readonly subject: ExpressionSubject
  readonly user: User

  constructor(authorizer: Authorizer, subject: ExpressionSubject, user = subject.user) {
    this.authorizer = authorizer
    this.subject = subject
    this.user = user
  }

  /** The resource of the request itself. */
  get requestResource(): ResourceCheck {
    const {
      matchAttributes: { resource, subresource, name },
      attributes: { namespace },
    } = this.subject
    return new ResourceCheck(this, { group: resource.group, resource: resource.plural, subresource, namespace, name })
  }
}

class PathCheck {
  readonly of: AuthorizerValue
  readonly path: string

  constructor(of: AuthorizerValue, path: string) {
    this.of = of
    this.path = path
  }
}

class GroupCheck {
  readonly of: AuthorizerValue
  readonly group: string

  constructor(of: AuthorizerValue, group: string) {
    this.of = of
    this.group = group
  }
}

class ResourceCheck {
  readonly of: AuthorizerValue
  readonly asked: Asked

  constructor(of: AuthorizerValue, asked: Asked) {
    this.of = of
    this.asked = asked
  }

  with(more: Asked): ResourceCheck {
    return new ResourceCheck(this.of, { ...this.asked, ...more })
  }
}

class DecisionValue {
  readonly decision: Decision

  constructor(decision: Decision) {
    this.decision = decision
  }
}

function check({ authorizer, user }: AuthorizerValue, asked: Asked, verb: string): DecisionValue {
  return new DecisionValue(authorizer.decide({ user, verb, ...asked }))
}

function account(of: AuthorizerValue, namespace: string, name: string): AuthorizerValue {
  return new AuthorizerValue(of.authorizer, of.subject, {
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  })
}

/**
 * Selectors narrow what is asked; whoever may do something may do it with any. An authorizer that never waits makes no
 * errors.
 */
export const authorizerDeclarations: Declarations = {
  types: [
    { name: 'Authorizer', constructor: AuthorizerValue as never, fields: { requestResource: 'ResourceCheck' } },
    { name: 'PathCheck', constructor: PathCheck as never, fields: {} },
    { name: 'GroupCheck', constructor: GroupCheck as never, fields: {} },
    { name: 'ResourceCheck', constructor: ResourceCheck as never, fields: {} },
    { name: 'Decision', constructor: DecisionValue as never, fields: {} },
  ],
  functions: [
    {
      signature: 'Authorizer.path(string): PathCheck',
      call: (of: AuthorizerValue, path: string) => new PathCheck(of, path),
    },
    {
      signature: 'Authorizer.group(string): GroupCheck',
      call: (of: AuthorizerValue, group: string) => new GroupCheck(of, group),
    },
    { signature: 'Authorizer.serviceAccount(string, string): Authorizer', call: account },
    {
      signature: 'GroupCheck.resource(string): ResourceCheck',
      call: ({ of, group }: GroupCheck, resource: string) => new ResourceCheck(of, { group, resource }),
    },
    {
      signature: 'ResourceCheck.subresource(string): ResourceCheck',
      call: (asked: ResourceCheck, subresource: string) => asked.with({ subresource }),
    },
    {
      signature: 'ResourceCheck.namespace(string): ResourceCheck',
      call: (asked: ResourceCheck, namespace: string) => asked.with({ namespace }),
    },
    {
      signature: 'ResourceCheck.name(string): ResourceCheck',
      call: (asked: ResourceCheck, name: string) => asked.with({ name }),
    },
    { signature: 'ResourceCheck.fieldSelector(string): ResourceCheck', call: (asked: ResourceCheck) => asked },
    { signature: 'ResourceCheck.labelSelector(string): ResourceCheck', call: (asked: ResourceCheck) => asked },
    {
      signature: 'ResourceCheck.check(string): Decision',
      call: ({ of, asked }: ResourceCheck, verb: string) => check(of, asked, verb),
    },
    {
      signature: 'PathCheck.check(string): Decision',
      call: ({ of, path }: PathCheck, verb: string) => check(of, { path }, verb),
    },
    { signature: 'Decision.allowed(): bool', call: ({ decision }: DecisionValue) => decision.allowed },
    { signature: 'Decision.reason(): string', call: ({ decision }: DecisionValue) => decision.reason ?? '' },
    { signature: 'Decision.errored(): bool', call: () => false },
    { signature: 'Decision.error(): string', call: () => '' },
  ],
}
