import { systemClock } from '../../../../proto/base/clock.ts'
import { MemoryNetwork } from '../../../../proto/rpc/memory/network.ts'
import { transportSuite } from '../../../contract/transport.ts'

describe('memory network', () => {
  describe('as any transport', () =>
    transportSuite(() => {
      const network = new MemoryNetwork({ clock: systemClock })
      const [server, client] = [network.host('server'), network.host('client')]
      return {
        server: (authorize) => server.server(authorize === undefined ? {} : { authorize }),
        connect: (address) => client.connect(address),
        nowhere: 'server:1',
      }
    }))

  describe('as any transport, where everything takes a while', () =>
    transportSuite(() => {
      let count = 0
      const transit = (): number => (count++ * 7) % 3
      const network = new MemoryNetwork({ clock: systemClock, transit })
      const [server, client] = [network.host('server'), network.host('client')]
      return {
        server: (authorize) => server.server(authorize === undefined ? {} : { authorize }),
        connect: (address) => client.connect(address),
        nowhere: 'server:1',
      }
    }))
})
