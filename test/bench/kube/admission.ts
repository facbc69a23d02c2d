/** A policy in force, for figures of what admission costs. */
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { BenchController } from './controller.ts'

/**
 * While a policy holds for pods, and a webhook is asked about something else. Without any configuration admission asks
 * nobody: that is the figure for POST.
 */
export async function withAdmission(controller: BenchController, measured: () => Promise<void>): Promise<void> {
  const group = { path: '/apis/admissionregistration.k8s.io/v1', apiVersion: 'admissionregistration.k8s.io/v1' }
  const rule = (resource: string): JsonObject => ({
    operations: ['CREATE'],
    apiGroups: [''],
    apiVersions: ['v1'],
    resources: [resource],
  })
  const objects: [plural: string, kind: string, content: JsonObject][] = [
    [
      'validatingadmissionpolicies',
      'ValidatingAdmissionPolicy',
      {
        spec: {
          matchConstraints: { resourceRules: [rule('pods')] },
          validations: [
            {
              expression: "object.spec.containers.all(container, container.image.startsWith('registry.example.com/'))",
            },
          ],
        },
      },
    ],
    [
      'validatingadmissionpolicybindings',
      'ValidatingAdmissionPolicyBinding',
      { spec: { policyName: 'bench', validationActions: ['Deny'] } },
    ],
    [
      'validatingwebhookconfigurations',
      'ValidatingWebhookConfiguration',
      {
        webhooks: [
          {
            name: 'elsewhere.bench.example.com',
            clientConfig: { url: 'https://127.0.0.1:1' },
            rules: [rule('services')],
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
          },
        ],
      },
    ],
  ]
  for (const [plural, kind, content] of objects) {
    const status = await controller.send('POST', `${group.path}/${plural}`, {
      apiVersion: group.apiVersion,
      kind,
      metadata: { name: 'bench' },
      ...content,
    })
    if (status !== 201) throw new Error(`cannot make the ${kind}: ${status}`)
  }
  await measured()
  for (const [plural] of objects) await controller.send('DELETE', `${group.path}/${plural}/bench`)
}
