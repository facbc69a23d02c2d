/**
 * A program of the node itself connects to a Service's address: the kernel asks for a route before it translates the
 * address. A node without a default route has none to the range of Services, and would answer "network unreachable"; it
 * gets one, by which nothing ever leaves: what is not translated is refused.
 */
import { formatAddress, formatCidr, readCidr } from '../../../proto/base/cidr.ts'
import type { Run } from '../../host/launcher.ts'
import { gatewayOf, type Ranges } from './layout.ts'

/** Marks our routes in the kernel's tables (`ip route show proto 72`). */
const ROUTE_PROTOCOL = '72'

export class ServiceRoutes {
  readonly #run: Run

  constructor(run: Run) {
    this.#run = run
  }

  /** Adds what is missing. A family that the kernel does not have is left out. */
  async ensure({ services, own }: Ranges): Promise<void> {
    for (const cidr of services) {
      const range = readCidr(cidr)!
      const family = `-${range.family}`
      const found = await this.#run('ip', [family, 'route', 'get', formatAddress(range.family, range.first + 1n)], {
        allow: [0, 1, 2],
      })
      if (found.code === 0) continue
      const gateway = gatewayOf(own.find((one) => readCidr(one)?.family === range.family))
      const route = [family, 'route', 'replace', formatCidr(range), 'dev', 'lo', 'proto', ROUTE_PROTOCOL]
      // With the address that the node's pods know it by, if it has that already.
      const added =
        gateway === undefined ? undefined : await this.#run('ip', [...route, 'src', gateway], { allow: [0, 1, 2] })
      if (added?.code !== 0) await this.#run('ip', route, { allow: range.family === 6 ? [0, 1, 2] : [0] })
    }
  }
}
