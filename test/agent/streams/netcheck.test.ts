import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { routerIn4, routerIn6 } from '../../../agent/streams/netcheck/default-router.ts'
import { startEcho } from '../../../agent/streams/netcheck/echo.ts'
import { runProbe, type Probe } from '../../../agent/streams/netcheck/probes.ts'
import { systemClock } from '../../../proto/base/clock.ts'

const AROUND = { clock: systemClock, mtu: 1_450, token: 'a-token-of-this-check' }
const probe = (change: Partial<Probe> & Pick<Probe, 'kind'>): Probe => ({
  id: 1,
  address: '127.0.0.1',
  port: 0,
  name: '',
  fromHost: false,
  timeoutMillis: 400,
  ...change,
})

describe('probes of the network', () => {
  it('are echoed over TCP and UDP, IPv4 and IPv6, up to the full size', async () => {
    const echo = await startEcho(0, [4, 6])
    try {
      for (const address of ['127.0.0.1', '::1']) {
        for (const kind of ['TCP_ECHO', 'UDP_ECHO', 'UDP_FULL', 'TCP_CONNECT', 'TCP_REACH'] as const) {
          const { ok, message } = await runProbe(probe({ kind, address, port: echo.port }), AROUND)
          assert.ok(ok, `${kind} ${address}: ${message}`)
          if (kind === 'UDP_FULL') assert.equal(message, '1450 bytes there and back')
        }
      }
    } finally {
      echo.close()
    }
  })

  it('tell a refused connection from silence, and an answer of somebody else from an echo', async () => {
    const echo = await startEcho(0, [4])
    const { port } = echo
    echo.close()
    assert.deepEqual(
      [
        (await runProbe(probe({ kind: 'TCP_ECHO', port }), AROUND)).message,
        (await runProbe(probe({ kind: 'TCP_REACH', port }), AROUND)).message,
      ],
      ['the connection is refused: packets arrive, and nothing listens there', 'it answers'],
    )
    const mute = createServer(() => undefined)
    const other = createServer((socket) => socket.end('something quite different from what was sent'))
    const silent = await Promise.all(
      [mute, other].map(async (server) => {
        await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
        return (server.address() as AddressInfo).port
      }),
    )
    assert.equal(
      (await runProbe(probe({ kind: 'TCP_ECHO', port: silent[0]! }), AROUND)).message,
      'no answer within 400 ms',
    )
    assert.equal(
      (await runProbe(probe({ kind: 'TCP_ECHO', port: silent[1]! }), AROUND)).message,
      'something else answers there',
    )
    mute.close()
    other.close()
  })

  it('find the first router as the kernel lists it', () => {
    assert.equal(
      routerIn4(
        'Iface\tDestination\tGateway \tFlags\neth0\t0000570A\t00000000\t0001\neth0\t00000000\t0100570A\t0003\n',
      ),
      '10.87.0.1',
    )
    assert.equal(routerIn4('Iface\tDestination\tGateway \tFlags\neth0\t00000000\t00000000\t0001\n'), undefined)
    const none = '0'.repeat(32)
    assert.equal(
      routerIn6(
        `${none} 00 ${none} 00 fd00000000000000000000000000000a 00000400 00000001 00000000 00000003     eth0\n`,
      ),
      'fd00:0:0:0:0:0:0:a',
    )
    assert.equal(
      routerIn6(
        `${none} 00 ${none} 00 fe80000000000000000000000000000a 00000400 00000001 00000000 00000003     eth0\n`,
      ),
      undefined,
    )
  })
})
