import assert from 'node:assert/strict'
import { formatPage } from '../../../cli/output/page.ts'
import { probeEntries, probeText } from '../../../proto/client/describe/probes.ts'
import type { Probe } from '../../../proto/gen/types.ts'
import { makeContainer } from '../../agent/fakes.ts'

const SETTINGS = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }

describe('probes in a description', () => {
  const table: [Partial<Probe>, string][] = [
    [
      { httpGet: { port: 8080, path: '/', scheme: 'HTTP' } },
      'http-get http://:8080/ delay=0s timeout=1s period=10s #success=1 #failure=3',
    ],
    [
      { httpGet: { port: 'web', path: 'live', scheme: 'HTTPS', host: 'a.example' }, initialDelaySeconds: 5 },
      'http-get https://a.example:web/live delay=5s timeout=1s period=10s #success=1 #failure=3',
    ],
    [
      { exec: { command: ['cat', '/ready'] }, periodSeconds: 2 },
      'exec [cat /ready] delay=0s timeout=1s period=2s #success=1 #failure=3',
    ],
    [
      { tcpSocket: { port: 5432 }, failureThreshold: 1 },
      'tcp-socket :5432 delay=0s timeout=1s period=10s #success=1 #failure=1',
    ],
    [
      { grpc: { port: 9000, service: 'shop' } },
      'grpc <pod>:9000 shop delay=0s timeout=1s period=10s #success=1 #failure=3',
    ],
  ]
  for (const [probe, expected] of table)
    it(`tells ${expected}`, () => assert.equal(probeText({ ...SETTINGS, ...probe }), expected))

  it('tells hooks and the stop signal, and nothing where there are none', () => {
    const container = makeContainer('main', {
      lifecycle: {
        postStart: { exec: { command: ['warm'] } },
        preStop: { sleep: { seconds: 5 } },
        stopSignal: 'SIGINT',
      },
    })
    assert.match(
      formatPage(probeEntries(container)),
      /^Post-Start:\s+exec \[warm\]\nPre-Stop:\s+sleep 5s\nStop Signal:\s+SIGINT/,
    )
    assert.deepEqual(probeEntries(makeContainer('main')), [])
  })
})
