import assert from 'node:assert/strict'
import { environment } from '../../../../agent/pods/steps/environment.ts'
import { serviceEnvironment } from '../../../../agent/pods/steps/service-links.ts'
import type { Pod, Service, ServiceSpec } from '../../../../proto/gen/types.ts'

function service(namespace: string, name: string, spec: Partial<ServiceSpec>): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, uid: name, resourceVersion: '1' },
    spec: { type: 'ClusterIP', sessionAffinity: 'None', ports: [{ port: 80, protocol: 'TCP' }], ...spec },
    status: {},
  }
}

const pod = (more: Partial<Pod['spec']> = {}): Pod =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'shop', uid: 'u', resourceVersion: '1' },
    spec: { containers: [{ name: 'c', image: 'i' }], ...more },
    status: {},
  }) as unknown as Pod
const api = service('default', 'kubernetes', {
  clusterIP: '10.96.0.1',
  ports: [{ name: 'https', port: 443, protocol: 'TCP' }],
})

describe('variables that name Services', () => {
  it('are those of Kubernetes, for Services of the namespace that have an address', () => {
    const services = [
      api,
      service('shop', 'redis-primary', {
        clusterIP: '10.96.7.7',
        ports: [
          { name: 'db', port: 6379, protocol: 'TCP' },
          { name: 'bus', port: 53, protocol: 'UDP' },
        ],
      }),
      service('other', 'hidden', { clusterIP: '10.96.7.8' }),
      service('shop', 'headless', { clusterIP: 'None' }),
      service('shop', 'alias', { type: 'ExternalName', externalName: 'a.b' }),
      service('shop', 'six', { clusterIP: 'fd00::5' }),
    ]
    assert.deepEqual(Object.fromEntries(serviceEnvironment(services, pod())), {
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
      KUBERNETES_SERVICE_PORT: '443',
      KUBERNETES_SERVICE_PORT_HTTPS: '443',
      KUBERNETES_PORT: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
      KUBERNETES_PORT_443_TCP_PORT: '443',
      KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
      REDIS_PRIMARY_SERVICE_HOST: '10.96.7.7',
      REDIS_PRIMARY_SERVICE_PORT: '6379',
      REDIS_PRIMARY_SERVICE_PORT_DB: '6379',
      REDIS_PRIMARY_SERVICE_PORT_BUS: '53',
      REDIS_PRIMARY_PORT: 'tcp://10.96.7.7:6379',
      REDIS_PRIMARY_PORT_6379_TCP: 'tcp://10.96.7.7:6379',
      REDIS_PRIMARY_PORT_6379_TCP_PROTO: 'tcp',
      REDIS_PRIMARY_PORT_6379_TCP_PORT: '6379',
      REDIS_PRIMARY_PORT_6379_TCP_ADDR: '10.96.7.7',
      REDIS_PRIMARY_PORT_53_UDP: 'udp://10.96.7.7:53',
      REDIS_PRIMARY_PORT_53_UDP_PROTO: 'udp',
      REDIS_PRIMARY_PORT_53_UDP_PORT: '53',
      REDIS_PRIMARY_PORT_53_UDP_ADDR: '10.96.7.7',
      SIX_SERVICE_HOST: 'fd00::5',
      SIX_SERVICE_PORT: '80',
      SIX_PORT: 'tcp://[fd00::5]:80',
      SIX_PORT_80_TCP: 'tcp://[fd00::5]:80',
      SIX_PORT_80_TCP_PROTO: 'tcp',
      SIX_PORT_80_TCP_PORT: '80',
      SIX_PORT_80_TCP_ADDR: 'fd00::5',
    })
  })

  it('are only those of the control plane for a pod that wants none', () => {
    const names = [
      ...serviceEnvironment(
        [api, service('shop', 'web', { clusterIP: '10.96.7.7' })],
        pod({ enableServiceLinks: false }),
      ).keys(),
    ]
    assert.ok(names.length > 0 && names.every((name) => name.startsWith('KUBERNETES_')))
  })

  it('let a Service called kubernetes of the namespace go before, in whatever order they come', () => {
    const own = service('shop', 'kubernetes', { clusterIP: '10.96.7.9' })
    for (const services of [
      [api, own],
      [own, api],
    ])
      assert.equal(serviceEnvironment(services, pod()).get('KUBERNETES_SERVICE_HOST'), '10.96.7.9')
  })

  it("are seen by the pod's own variables, which go before", () => {
    const links = new Map([
      ['WEB_SERVICE_HOST', '10.96.7.7'],
      ['WEB_SERVICE_PORT', '80'],
    ])
    const wanted = pod({
      containers: [
        {
          name: 'c',
          image: 'i',
          env: [
            { name: 'URL', value: 'http://$(WEB_SERVICE_HOST)/' },
            { name: 'WEB_SERVICE_PORT', value: 'mine' },
          ],
        },
      ] as never,
    })
    const none = { configMap: () => undefined, secret: () => undefined, token: () => undefined }
    const made = environment(wanted, wanted.spec.containers[0]!, none, {} as never, links)
    assert.deepEqual(Object.fromEntries(made), {
      WEB_SERVICE_HOST: '10.96.7.7',
      WEB_SERVICE_PORT: 'mine',
      URL: 'http://10.96.7.7/',
    })
  })
})
