/** Webhooks in pods behind a Service, and policies: what they change and refuse, and in which words. */
import assert from 'node:assert/strict'
import { createAuthority, issue } from '../../../deploy/ca.ts'
import { eventually } from '../../eventually.ts'
import type { Kubectl } from './kubectl.ts'

/** Labels pods that are made, and refuses what is called forbidden. */
const HOOK = `
const { createServer } = require('https')
createServer({ cert: process.env.CERT, key: process.env.KEY }, (message, response) => {
  let text = ''
  message.on('data', (chunk) => { text += chunk })
  message.on('end', () => {
    const { request: { uid, object, userInfo } } = JSON.parse(text)
    const patch = [{ op: 'add', path: '/metadata/annotations', value: { ...object.metadata.annotations, 'example.com/made-by': userInfo.username } }]
    const allowed = object.metadata.name !== 'forbidden'
    const answer = allowed ? { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64'), warnings: ['seen by the webhook'] } : { status: { code: 403, message: 'not by this name' } }
    response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed, ...answer } }))
  })
}).listen(8443)`

export function admission(root: () => Kubectl): void {
  describe('webhooks and policies', () => {
    let kubectl: Kubectl
    let tools: Kubectl
    // Others on this cluster are not to notice.
    const here = { namespaceSelector: { matchLabels: { 'example.com/admission': 'yes' } } }
    const configured = [
      'mutatingwebhookconfiguration/e2e-admission',
      'validatingadmissionpolicy/e2e-admission',
      'validatingadmissionpolicybinding/e2e-admission',
    ]

    before(async () => {
      ;[kubectl, tools] = await Promise.all([root().within('admission'), root().within('admission-tools')])
      await kubectl.ok('label namespace admission example.com/admission=yes')
    })

    after(async () => {
      await kubectl.ok(['delete', '--ignore-not-found', ...configured])
      await Promise.all([kubectl.leave(), tools.leave()])
    })

    it('asks a webhook in a pod about what people and controllers make', async () => {
      const authority = await createAuthority('webhooks', Date.now())
      const { cert, key } = await issue(
        authority,
        { commonName: 'hook', hosts: ['hook.admission-tools.svc'] },
        Date.now(),
      )
      await tools.ready({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'hook', labels: { app: 'hook' } },
        spec: {
          terminationGracePeriodSeconds: 0,
          // The machine's own Node.js: no image here has one.
          volumes: [{ name: 'machine', hostPath: { path: '/' } }],
          containers: [
            {
              name: 'main',
              image: 'busybox',
              command: ['chroot', '/machine', process.execPath, '-e', HOOK],
              env: [
                { name: 'CERT', value: cert },
                { name: 'KEY', value: key },
              ],
              volumeMounts: [{ name: 'machine', mountPath: '/machine', readOnly: true }],
              readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
            },
          ],
        },
      })
      await tools.apply({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'hook' },
        spec: { selector: { app: 'hook' }, ports: [{ port: 443, targetPort: 8443 }] },
      })
      await eventually(
        async () =>
          assert.match(
            await tools.ok(
              'get endpointslices -l kubernetes.io/service-name=hook -o jsonpath={.items[*].endpoints[*].conditions.ready}',
            ),
            /true/,
          ),
        30_000,
      )
      await kubectl.apply({
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'MutatingWebhookConfiguration',
        metadata: { name: 'e2e-admission' },
        webhooks: [
          {
            name: 'hook.admission.example.com',
            ...here,
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
            timeoutSeconds: 20,
            clientConfig: {
              service: { namespace: 'admission-tools', name: 'hook' },
              caBundle: Buffer.from(authority.cert).toString('base64'),
            },
            rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
          },
        ],
      })

      const made = await kubectl.run('run mine --image=busybox -- sleep 3600')
      assert.deepEqual([made.code, made.stdout], [0, 'pod/mine created\n'])
      assert.match(made.stderr, /^Warning: seen by the webhook$/m)
      assert.notEqual(await kubectl.value('pod/mine', '.metadata.annotations.example\\.com/made-by'), '')
      assert.equal(
        await kubectl.refused('run forbidden --image=busybox'),
        'Error from server: admission webhook "hook.admission.example.com" denied the request: not by this name\n',
      )

      await kubectl.ok('create deployment web --image=busybox -- sleep 3600')
      await eventually(
        async () =>
          assert.equal(
            await kubectl.ok('get pods -l app=web -o jsonpath={.items[*].metadata.annotations.example\\.com/made-by}'),
            'system:serviceaccount:kube-system:replicaset-controller',
          ),
        30_000,
      )
    })

    it('refuses what a policy does not allow, with its message', async () => {
      await kubectl.apply(
        {
          apiVersion: 'admissionregistration.k8s.io/v1',
          kind: 'ValidatingAdmissionPolicy',
          metadata: { name: 'e2e-admission' },
          spec: {
            matchConstraints: {
              ...here,
              resourceRules: [
                {
                  operations: ['CREATE', 'UPDATE'],
                  apiGroups: ['apps'],
                  apiVersions: ['v1'],
                  resources: ['deployments', 'deployments/scale'],
                },
              ],
            },
            validations: [
              {
                expression: 'object.spec.replicas <= 2',
                messageExpression: "'at most 2 replicas, not ' + string(object.spec.replicas)",
              },
            ],
          },
        },
        {
          apiVersion: 'admissionregistration.k8s.io/v1',
          kind: 'ValidatingAdmissionPolicyBinding',
          metadata: { name: 'e2e-admission' },
          spec: { policyName: 'e2e-admission', validationActions: ['Deny'] },
        },
      )
      const denied = (name: string, replicas: number): RegExp =>
        new RegExp(
          `deployments\\.apps "${name}" is forbidden: ValidatingAdmissionPolicy 'e2e-admission' with binding 'e2e-admission' denied request: at most 2 replicas, not ${replicas}$`,
          'm',
        )
      assert.match(await kubectl.refused('create deployment many --image=busybox --replicas=3'), denied('many', 3))
      await kubectl.ok('create deployment few --image=busybox --replicas=0')
      // What is of reason Invalid kubectl puts into a sentence of its own.
      assert.match(
        await kubectl.refused('scale deployment few --replicas=5'),
        /^The deployments "few" is invalid: : ValidatingAdmissionPolicy 'e2e-admission' with binding 'e2e-admission' denied request: at most 2 replicas, not 5$/m,
      )
      assert.match(
        await kubectl.ok('get validatingadmissionpolicies'),
        /^NAME +VALIDATIONS +PARAMKIND +AGE\ne2e-admission +1 +<unset> /,
      )
      await kubectl.ok('delete validatingadmissionpolicybinding e2e-admission')
      await kubectl.ok('create deployment many --image=busybox --replicas=3 --dry-run=server')
    })
  })
}
