import assert from 'node:assert/strict'
import { AccessAuthorizer } from '../../../controller/accounts/access-authorizer.ts'
import { accountGroups, withAuthenticatedGroup } from '../../../controller/accounts/token-authenticator.ts'
import { accountUser } from '../../../controller/accounts/tokens.ts'
import type { Attributes } from '../../../controller/authorization/authorizer.ts'
import { CONTROLLERS, MASTERS, NODES } from '../../../controller/authorization/groups.ts'
import type { User } from '../../../controller/api/contract.ts'
import { ACCESS_ANNOTATION, ACCESS_LEVELS, type Access } from '../../../proto/objects/account-access.ts'
import type { Kind } from '../../../proto/gen/types.ts'
import { ControlPlane } from '../control-plane.ts'

const CONTEXT = { fieldManager: 'test' }

describe('what ServiceAccounts may do', () => {
  let plane: ControlPlane
  let authorizer: AccessAuthorizer

  const CUSTOM = [
    ['crontabs', 'CronTab', true],
    ['galaxies', 'Galaxy', false],
  ] as const
  const customId = (kind: string): Kind => `${kind}.access.example.com` as Kind

  before(async () => {
    plane = await ControlPlane.start()
    authorizer = new AccessAuthorizer(plane.informer)
    for (const level of ACCESS_LEVELS) {
      await plane.api.create<'ServiceAccount'>(
        {
          kind: 'ServiceAccount',
          metadata: { name: level, namespace: 'default', annotations: { [ACCESS_ANNOTATION]: level } },
        },
        CONTEXT,
      )
      await plane.api.create<'Pod'>(
        {
          kind: 'Pod',
          metadata: { name: level, namespace: 'default' },
          spec: { serviceAccountName: level, containers: [{ name: 'c', image: 'i' }] },
        },
        CONTEXT,
      )
    }
    await plane.api.create<'ServiceAccount'>(
      { kind: 'ServiceAccount', metadata: { name: 'plain', namespace: 'default' } },
      CONTEXT,
    )
    await plane.informer.waitForRevision(await plane.store.revision())
    // The informer forgets, as it begins, what it has no definition of.
    for (const [plural, kind, namespaced] of CUSTOM)
      plane.informer.kinds.set({
        id: customId(kind),
        versions: [],
        resource: { group: 'access.example.com', version: 'v1', kind, plural, namespaced, shortNames: [] },
      } as never)
  })

  after(async () => {
    await plane.stop()
  })

  const account = (name: string, namespace = 'default'): User => ({
    name: accountUser(namespace, name),
    groups: accountGroups(namespace),
  })
  type Wish = Omit<Attributes, 'user'>
  const may = (user: User, wish: Wish): boolean => authorizer.decide({ user, ...wish }).allowed

  const own = { namespace: 'default' }
  /** What is asked, and the least level that may. Undefined: none but admin, however it is asked. */
  const TABLE: readonly [what: string, wish: Wish, least: Access][] = [
    ['lists pods of its namespace', { verb: 'list', resource: 'pods', ...own }, 'view'],
    ['watches Deployments', { verb: 'watch', group: 'apps', resource: 'deployments', ...own }, 'view'],
    ['reads a log', { verb: 'get', resource: 'pods', subresource: 'log', name: 'view', ...own }, 'view'],
    [
      'reads a scale',
      { verb: 'get', group: 'apps', resource: 'deployments', subresource: 'scale', name: 'd', ...own },
      'view',
    ],
    ['reads ServiceAccounts', { verb: 'get', resource: 'serviceaccounts', name: 'view', ...own }, 'view'],
    ['reads its own namespace', { verb: 'get', resource: 'namespaces', name: 'default', namespace: '' }, 'view'],
    ['measures pods', { verb: 'list', group: 'metrics.k8s.io', resource: 'pods', ...own }, 'view'],
    ['reads Secrets', { verb: 'get', resource: 'secrets', name: 's', ...own }, 'edit'],
    ['lists Secrets', { verb: 'list', resource: 'secrets', ...own }, 'edit'],
    ['creates pods', { verb: 'create', resource: 'pods', ...own }, 'edit'],
    ['deletes all ConfigMaps', { verb: 'deletecollection', resource: 'configmaps', ...own }, 'edit'],
    ['patches a Deployment', { verb: 'patch', group: 'apps', resource: 'deployments', name: 'd', ...own }, 'edit'],
    [
      'scales',
      { verb: 'update', group: 'apps', resource: 'deployments', subresource: 'scale', name: 'd', ...own },
      'edit',
    ],
    ['evicts', { verb: 'create', resource: 'pods', subresource: 'eviction', name: 'view', ...own }, 'edit'],
    ['enters a pod by POST', { verb: 'create', resource: 'pods', subresource: 'exec', name: 'view', ...own }, 'edit'],
    ['enters a pod by GET', { verb: 'get', resource: 'pods', subresource: 'exec', name: 'view', ...own }, 'edit'],
    ['attaches to a pod', { verb: 'get', resource: 'pods', subresource: 'attach', name: 'edit', ...own }, 'edit'],
    ['forwards ports', { verb: 'get', resource: 'pods', subresource: 'portforward', name: 'none', ...own }, 'edit'],
    [
      'adds containers to a pod',
      { verb: 'patch', resource: 'pods', subresource: 'ephemeralcontainers', name: 'edit', ...own },
      'edit',
    ],
    [
      'asks a pod through the proxy',
      { verb: 'get', resource: 'pods', subresource: 'proxy', name: 'view', ...own },
      'edit',
    ],
    [
      'asks a Service through the proxy',
      { verb: 'get', resource: 'services', subresource: 'proxy', name: 's', ...own },
      'edit',
    ],
    [
      'enters a pod of one who may do everything',
      { verb: 'get', resource: 'pods', subresource: 'exec', name: 'admin', ...own },
      'admin',
    ],
    [
      'attaches to a pod of such a one',
      { verb: 'create', resource: 'pods', subresource: 'attach', name: 'admin', ...own },
      'admin',
    ],
    [
      'adds containers to a pod of such a one',
      { verb: 'update', resource: 'pods', subresource: 'ephemeralcontainers', name: 'admin', ...own },
      'admin',
    ],
    [
      'asks a pod of such a one through the proxy',
      { verb: 'create', resource: 'pods', subresource: 'proxy', name: 'admin', ...own },
      'admin',
    ],
    [
      'enters a pod that is not known yet',
      { verb: 'get', resource: 'pods', subresource: 'exec', name: 'coming', ...own },
      'admin',
    ],
    ['creates ServiceAccounts', { verb: 'create', resource: 'serviceaccounts', ...own }, 'admin'],
    ['patches a ServiceAccount', { verb: 'patch', resource: 'serviceaccounts', name: 'edit', ...own }, 'admin'],
    ['deletes all ServiceAccounts', { verb: 'deletecollection', resource: 'serviceaccounts', ...own }, 'admin'],
    [
      'asks for a token',
      { verb: 'create', resource: 'serviceaccounts', subresource: 'token', name: 'edit', ...own },
      'admin',
    ],
    ['is taken for an account', { verb: 'impersonate', resource: 'serviceaccounts', name: 'admin', ...own }, 'admin'],
    ['is taken for a user', { verb: 'impersonate', resource: 'users', name: 'anna' }, 'admin'],
    ['is taken for a group', { verb: 'impersonate', resource: 'groups', name: MASTERS }, 'admin'],
    [
      'binds a pod to a node',
      { verb: 'create', resource: 'pods', subresource: 'binding', name: 'view', ...own },
      'admin',
    ],
    ['reads another namespace', { verb: 'list', resource: 'pods', namespace: 'shop' }, 'admin'],
    ['reads all namespaces', { verb: 'list', resource: 'pods', namespace: '' }, 'admin'],
    ['writes into another namespace', { verb: 'create', resource: 'pods', namespace: 'shop' }, 'admin'],
    ['lists namespaces', { verb: 'list', resource: 'namespaces', namespace: '' }, 'admin'],
    ['deletes its namespace', { verb: 'delete', resource: 'namespaces', name: 'default', namespace: '' }, 'admin'],
    ['labels its namespace', { verb: 'patch', resource: 'namespaces', name: 'default', namespace: 'default' }, 'admin'],
    ['lists nodes', { verb: 'list', resource: 'nodes' }, 'admin'],
    ['reaches a node through the proxy', { verb: 'get', resource: 'nodes', subresource: 'proxy', name: 'n1' }, 'admin'],
    [
      'defines kinds',
      { verb: 'create', group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' },
      'admin',
    ],
    ['writes roles', { verb: 'create', group: 'rbac.authorization.k8s.io', resource: 'rolebindings', ...own }, 'admin'],
    ['asks about others', { verb: 'create', group: 'authorization.k8s.io', resource: 'subjectaccessreviews' }, 'admin'],
    [
      'asks about others in its namespace',
      { verb: 'create', group: 'authorization.k8s.io', resource: 'localsubjectaccessreviews', ...own },
      'admin',
    ],
    ['reviews tokens', { verb: 'create', group: 'authentication.k8s.io', resource: 'tokenreviews' }, 'admin'],
    ['does everything', { verb: '*', group: '*', resource: '*', ...own }, 'admin'],
    ['does everything with pods', { verb: '*', resource: 'pods', ...own }, 'admin'],
    ['reads everything', { verb: 'get', group: '*', resource: '*', ...own }, 'admin'],
    ['reads the metrics of the controller', { verb: 'get', path: '/metrics' }, 'admin'],
    ['writes to a path', { verb: 'post', path: '/version' }, 'admin'],
    [
      'asks what it may do',
      { verb: 'create', group: 'authorization.k8s.io', resource: 'selfsubjectaccessreviews' },
      'none',
    ],
    [
      'asks for all that it may do',
      { verb: 'create', group: 'authorization.k8s.io', resource: 'selfsubjectrulesreviews' },
      'none',
    ],
    ['asks who it is', { verb: 'create', group: 'authentication.k8s.io', resource: 'selfsubjectreviews' }, 'none'],
    ['looks at what there is', { verb: 'get', path: '/apis/apps/v1' }, 'none'],
    ['reads the schema', { verb: 'get', path: '/openapi/v3/api/v1' }, 'none'],
    ['reads the keys of tokens', { verb: 'get', path: '/openid/v1/jwks' }, 'none'],
  ]

  for (const [what, wish, least] of TABLE) {
    it(`${what}: from ${least} on`, () => {
      const allowed = ACCESS_LEVELS.filter((level) => may(account(level), wish))
      assert.deepEqual(allowed, ACCESS_LEVELS.slice(ACCESS_LEVELS.indexOf(least)))
      assert.ok(may({ name: 'anna', groups: [MASTERS] }, wish))
    })
  }

  /**
   * For each resource: who reads it, and who writes it. `-`: administrators only. Kubernetes' roles view and edit are
   * the model.
   */
  const RESOURCES: readonly [resource: string, reads: Access | '-', writes: Access | '-'][] = [
    ['pods', 'view', 'edit'],
    ['pods/status', 'view', '-'],
    ['pods/log', 'view', '-'],
    ['pods/binding', '-', '-'],
    ['pods/ephemeralcontainers', 'edit', 'edit'],
    ['pods/resize', 'edit', 'edit'],
    ['pods/exec', 'edit', 'edit'],
    ['pods/attach', 'edit', 'edit'],
    ['pods/portforward', 'edit', 'edit'],
    ['pods/proxy', 'edit', 'edit'],
    ['pods/token', '-', '-'],
    ['bindings', '-', '-'],
    ['configmaps', 'view', 'edit'],
    ['secrets', 'edit', 'edit'],
    ['events', 'view', 'edit'],
    ['events.events.k8s.io', 'view', 'edit'],
    ['services', 'view', 'edit'],
    ['services/status', 'view', '-'],
    ['services/proxy', 'edit', 'edit'],
    ['endpoints', 'view', '-'],
    ['endpointslices.discovery.k8s.io', 'view', '-'],
    ['serviceaccounts', 'view', '-'],
    ['serviceaccounts/token', '-', '-'],
    ['resourcequotas', 'view', '-'],
    ['resourcequotas/status', 'view', '-'],
    ['limitranges', 'view', '-'],
    ['persistentvolumeclaims', 'view', 'edit'],
    ['persistentvolumeclaims/status', 'view', '-'],
    ['persistentvolumes', '-', '-'],
    ['podtemplates', '-', '-'],
    ['deployments.apps', 'view', 'edit'],
    ['deployments.apps/status', 'view', '-'],
    ['deployments.apps/scale', 'view', 'edit'],
    ['replicasets.apps', 'view', 'edit'],
    ['replicasets.apps/status', 'view', '-'],
    ['replicasets.apps/scale', 'view', 'edit'],
    ['statefulsets.apps', 'view', 'edit'],
    ['daemonsets.apps/status', 'view', '-'],
    ['jobs.batch', 'view', 'edit'],
    ['controllerrevisions.apps', 'view', '-'],
    ['poddisruptionbudgets.policy', 'view', 'edit'],
    ['leases.coordination.k8s.io', 'edit', 'edit'],
    ['ingresses.networking.k8s.io', 'view', 'edit'],
    ['ingresses.networking.k8s.io/status', 'view', '-'],
    ['networkpolicies.networking.k8s.io', 'view', 'edit'],
    ['ingressclasses.networking.k8s.io', '-', '-'],
    ['gateways.gateway.networking.k8s.io', 'view', 'edit'],
    ['gateways.gateway.networking.k8s.io/status', 'view', '-'],
    ['gatewayclasses.gateway.networking.k8s.io', '-', '-'],
    ['httproutes.gateway.networking.k8s.io', 'view', 'edit'],
    ['httproutes.gateway.networking.k8s.io/status', 'view', '-'],
    ['referencegrants.gateway.networking.k8s.io', 'view', 'edit'],
    ['networks.gantry.dev', 'view', 'edit'],
    ['networks.gantry.dev/status', 'view', '-'],
    ['pods.metrics.k8s.io', 'view', '-'],
    ['nodes.metrics.k8s.io', '-', '-'],
    ['crontabs.access.example.com', 'view', 'edit'],
    ['crontabs.access.example.com/status', 'view', '-'],
    ['crontabs.access.example.com/scale', 'view', 'edit'],
    ['galaxies.access.example.com', '-', '-'],
    ['unknown.access.example.com', '-', '-'],
    ['namespaces', '-', '-'],
    ['namespaces/status', '-', '-'],
    ['namespaces/finalize', '-', '-'],
    ['nodes', '-', '-'],
    ['nodes/status', '-', '-'],
    ['nodes/proxy', '-', '-'],
    ['customresourcedefinitions.apiextensions.k8s.io', '-', '-'],
    ['validatingwebhookconfigurations.admissionregistration.k8s.io', '-', '-'],
    ['roles.rbac.authorization.k8s.io', '-', '-'],
    ['certificatesigningrequests.certificates.k8s.io', '-', '-'],
    ['tokenreviews.authentication.k8s.io', '-', '-'],
    ['*', '-', '-'],
    ['pods/*', '-', '-'],
    ['*/status', '-', '-'],
  ]
  for (const [full, reads, writes] of RESOURCES) {
    const [name, subresource = ''] = full.split('/') as [string, string?]
    const [resource, ...group] = name.split('.') as [string, ...string[]]
    const from = (least: Access | '-'): readonly Access[] =>
      ACCESS_LEVELS.slice(ACCESS_LEVELS.indexOf(least === '-' ? 'admin' : least))
    it(`of ${full}: reads from ${reads} on, writes from ${writes} on`, () => {
      for (const [verbs, least] of [
        [['get', 'list', 'watch'], reads],
        [['create', 'update', 'patch', 'delete', 'deletecollection'], writes],
        [['*', 'impersonate', 'bind', 'escalate', 'approve'], '-'],
      ] as const) {
        for (const verb of verbs)
          assert.deepEqual(
            ACCESS_LEVELS.filter((level) =>
              may(account(level), { verb, group: group.join('.'), resource, subresource, ...own }),
            ),
            from(least),
            verb,
          )
      }
    })
  }

  it('is nothing for an account that says nothing, and for one that is not there', () => {
    assert.equal(authorizer.accessOf(account('plain')), 'none')
    assert.ok(!may(account('plain'), { verb: 'list', resource: 'configmaps', ...own }))
    assert.equal(authorizer.accessOf(account('ghost')), 'none')
    assert.ok(!may(account('ghost'), { verb: 'list', resource: 'pods', ...own }))
    assert.ok(
      !may(account('admin', 'shop'), { verb: 'list', resource: 'pods', namespace: 'shop' }),
      'of another namespace',
    )
  })

  it('goes by the annotation as it is now', async () => {
    const wish = { verb: 'create', resource: 'pods', ...own }
    const set = async (access: string): Promise<void> => {
      const { metadata } = await plane.api.mutate(
        'ServiceAccount',
        'default',
        'plain',
        '',
        (stored) => void (stored.metadata.annotations = { [ACCESS_ANNOTATION]: access }),
        CONTEXT,
      )
      await plane.informer.waitForRevision(Number(metadata.resourceVersion))
    }
    await set('edit')
    assert.ok(may(account('plain'), wish))
    await set('none')
    assert.ok(!may(account('plain'), wish))
    await assert.rejects(set('everything'), {
      code: 'InvalidArgument',
      message:
        /metadata\.annotations\[gantry\.dev\/access\]: "everything" is not a level of access \(use none, view, edit, admin\)/,
    })
  })

  it('is nothing for agents, controllers and people without a group, but for what everybody may', () => {
    const wish = { verb: 'list', resource: 'pods', ...own }
    const discovery = { verb: 'get', path: '/apis' }
    for (const user of [
      { name: 'system:node:n1', groups: [NODES] },
      { name: 'system:controller:c1', groups: [CONTROLLERS] },
    ].map(withAuthenticatedGroup)) {
      assert.ok(!may(user, wish))
      assert.ok(!may(user, discovery))
    }
    const anna = withAuthenticatedGroup({ name: 'anna', groups: ['developers'] })
    assert.ok(!may(anna, wish))
    assert.ok(may(anna, discovery))
    const nobody = { name: 'system:anonymous', groups: ['system:unauthenticated'] }
    assert.ok(!may(nobody, discovery))
    assert.ok(may(nobody, { verb: 'get', path: '/healthz' }))
    assert.ok(
      !may(
        { name: accountUser('default', 'edit'), groups: [] },
        { verb: 'create', group: 'authorization.k8s.io', resource: 'selfsubjectaccessreviews' },
      ),
      'who is not known',
    )
  })
})
