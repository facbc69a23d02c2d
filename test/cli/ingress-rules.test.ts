import assert from 'node:assert/strict'
import { ingressOf } from '../../cli/ingress-rules.ts'

const words = { class: undefined, fallback: undefined, annotations: [] }

describe('rules of an Ingress on a command line', () => {
  it('puts paths of a host together, and hosts of a certificate', () => {
    assert.deepEqual(
      ingressOf(
        [
          'a.example.com/*=web:80,tls=cert',
          'a.example.com/api=api:http',
          'b.example.com/x*=web:80,tls=cert',
          '/=web:80',
        ],
        { class: 'gantry', fallback: 'rest:8080', annotations: ['k=v=w'] },
      ),
      {
        metadata: { annotations: { k: 'v=w' } },
        spec: {
          ingressClassName: 'gantry',
          defaultBackend: { service: { name: 'rest', port: { number: 8080 } } },
          tls: [{ hosts: ['a.example.com', 'b.example.com'], secretName: 'cert' }],
          rules: [
            {
              host: 'a.example.com',
              http: {
                paths: [
                  { path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } },
                  { path: '/api', pathType: 'Exact', backend: { service: { name: 'api', port: { name: 'http' } } } },
                ],
              },
            },
            {
              host: 'b.example.com',
              http: {
                paths: [
                  { path: '/x', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } },
                ],
              },
            },
            {
              http: {
                paths: [{ path: '/', pathType: 'Exact', backend: { service: { name: 'web', port: { number: 80 } } } }],
              },
            },
          ],
        },
      },
    )
  })

  it('leaves the certificate to the ingress proxy where only tls is said', () => {
    assert.deepEqual((ingressOf(['a.example.com/*=web:80,tls'], words).spec as { tls: unknown }).tls, [
      { hosts: ['a.example.com'] },
    ])
  })

  for (const [rule, message] of [
    ['a.example.com=web:80', /is not HOST\/PATH=SERVICE:PORT/],
    ['a/=web', /"web" is not SERVICE:PORT/],
    ['a/=web:80,ssl', /"ssl" is not tls/],
  ] as const) {
    it(`refuses ${rule}`, () => assert.throws(() => ingressOf([rule], words), message))
  }
})
