import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { HealthChecks } from '../../../../agent/network/services/health-checks.ts'
import { freePort } from '../../../integration/free-port.ts'

describe('HealthChecks', () => {
  it('answers 200 with endpoints and 503 without, and closes what is no longer asked for', async () => {
    const failures: string[] = []
    const checks = new HealthChecks((service, text) => void failures.push(`${service} ${text}`))
    const port = await freePort()
    try {
      await checks.set(new Map([[port, { service: 'shop/web', localEndpoints: 2 }]]))
      const up = await fetch(`http://127.0.0.1:${port}/healthz`)
      assert.equal(up.status, 200)
      assert.equal(up.headers.get('content-type'), 'application/json')
      assert.deepEqual(await up.json(), {
        service: { namespace: 'shop', name: 'web' },
        localEndpoints: 2,
        serviceProxyHealthy: true,
      })
      await checks.set(new Map([[port, { service: 'shop/web', localEndpoints: 0 }]]))
      const down = await fetch(`http://127.0.0.1:${port}/`)
      assert.equal(down.status, 503)
      assert.equal(((await down.json()) as { localEndpoints: number }).localEndpoints, 0)
      await checks.set(new Map())
      await assert.rejects(fetch(`http://127.0.0.1:${port}/`))
      assert.deepEqual(failures, [])
    } finally {
      await checks.stop()
    }
  })

  it('tells of a port that is taken, and listens once it is free', async () => {
    const failures: string[] = []
    const checks = new HealthChecks((service, text) => void failures.push(`${service} ${text}`))
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '::', resolve))
    const { port } = holder.address() as { port: number }
    const wanted = new Map([[port, { service: 'shop/web', localEndpoints: 1 }]])
    try {
      await checks.set(wanted)
      await checks.set(wanted)
      assert.equal(failures.length, 1)
      assert.match(
        failures.join(),
        new RegExp(`^shop/web health checks at port ${port} are not answered: .*EADDRINUSE`),
      )
      await new Promise((resolve) => holder.close(resolve))
      await checks.set(wanted)
      assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200)
    } finally {
      await checks.stop()
    }
  })
})
