/** Pods for tables of cases: what a case does not say is as empty as it can be. */
import type { Container, Pod, ResourceRequirements } from '../../../proto/gen/types.ts'

export interface PodFields {
  readonly metadata?: Partial<Pod['metadata']>
  readonly spec?: Partial<Pod['spec']>
  readonly status?: Pod['status']
}

export function pod({ metadata, spec, status = {} }: PodFields = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default', uid: 'uid', resourceVersion: '1', ...metadata },
    spec: {
      containers: [container('main')],
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
      securityContext: {},
      ...spec,
    },
    status,
  }
}

export function container(name: string, fields: Partial<Container> = {}): Container {
  return {
    name,
    image: 'app',
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
    ...fields,
  }
}

export const requesting = (
  name: string,
  requests: Record<string, string>,
  fields: Partial<Container> = {},
): Container => container(name, { resources: { requests }, ...fields })

export const limited = (name: string, limits: Record<string, string>, more: ResourceRequirements = {}): Container =>
  container(name, { resources: { limits, ...more } })
