/**
 * gRPC between the processes of the world: the network in memory of proto/rpc, whose frames take the time that the
 * simulated network says, or are lost. Hosts go by their addresses there.
 */
import type {
  AuthorizeCall,
  CallContext,
  Connection,
  KeepaliveOptions,
  RpcServer,
} from '../../../proto/rpc/contract.ts'
import { MemoryNetwork, type MemoryHost } from '../../../proto/rpc/memory/network.ts'
import type { Network } from './network.ts'
import type { Host, Process } from './process.ts'
import type { World } from './world.ts'

export class Transport {
  readonly #memory: MemoryNetwork
  readonly #hosts = new Map<string, Host>()
  readonly #memoryHosts = new WeakMap<Process, MemoryHost>()

  constructor(world: World, network: Network) {
    this.#memory = new MemoryNetwork({
      clock: world.clock,
      transit: (from, to) => {
        const [sender, receiver] = [this.#hosts.get(from), this.#hosts.get(to)]
        if (sender === undefined || receiver === undefined || !network.reaches(sender, receiver)) return 'lost'
        return network.latency(sender, receiver) + receiver.pausedFor
      },
    })
  }

  connect(process: Process, address: string, user: CallContext['user'], liveness: KeepaliveOptions): Connection {
    return this.#memoryHost(process).connect(address, { user, liveness })
  }

  server(process: Process, port: number, authorize: AuthorizeCall): RpcServer {
    return this.#memoryHost(process).server({ port, authorize })
  }

  #memoryHost(process: Process): MemoryHost {
    const known = this.#memoryHosts.get(process)
    if (known !== undefined) return known
    const { host } = process
    const memoryHost = this.#memory.host(host.address)
    this.#hosts.set(host.address, host)
    this.#memoryHosts.set(process, memoryHost)
    process.onEnd(() => {
      if (host.up) memoryHost.kill()
      else memoryHost.powerOff()
    })
    return memoryHost
  }
}
