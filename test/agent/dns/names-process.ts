/**
 * A program for tests: `Names` alone, in whatever network namespace it is started in. On its standard input one JSON
 * line a command, one line back for each: { apply: { objects, revision, ranges?, change? } }, { stats: true }, { stop:
 * true }.
 */
import { createInterface } from 'node:readline'
import { NodeDns } from '../../../agent/dns/node-dns.ts'
import type { NodeRanges } from '../../../agent/network/contract.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import { createLogger } from '../../../proto/base/logger.ts'
import type { EndpointSlice, Service } from '../../../proto/gen/types.ts'
import { COMPLETE, view } from './view.ts'

export interface NamesCommand {
  readonly apply?: {
    readonly objects: readonly (Service | EndpointSlice)[]
    readonly services?: number
    readonly revision: number
    readonly ranges?: NodeRanges
    readonly keys?: readonly string[]
  }
  readonly stats?: true
  readonly stop?: true
}

const [upstream = '', resolvConf = '/etc/resolv.conf'] = process.argv.slice(2)
const names = new NodeDns({
  run,
  logger: createLogger('names', 'warn'),
  clock: systemClock,
  settings: { upstream: upstream === '' ? [] : [upstream], resolvConf, cacheBytes: 8e6, serveStale: 3600 },
})
const lines = createInterface({ input: process.stdin })
for await (const line of lines) {
  const { apply, stats, stop } = JSON.parse(line) as NamesCommand
  try {
    if (apply !== undefined) {
      const many = Array.from({ length: apply.services ?? 0 }, (_, at) => manyService(at))
      await names.apply(
        view([...apply.objects, ...many], apply.revision, apply.ranges),
        apply.keys === undefined ? COMPLETE : { complete: false, keys: new Set(apply.keys) },
      )
    }
    process.stdout.write(`${JSON.stringify({ value: stats === undefined ? true : await names.stats() })}\n`)
  } catch (thrown) {
    process.stdout.write(`${JSON.stringify({ error: GantryError.from(thrown).message })}\n`)
  }
  if (stop === true) {
    await names.stop()
    lines.close()
  }
}

function manyService(at: number): Service {
  const address = `10.96.${at >> 8}.${at & 255}`
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name: `web-${at}` },
    spec: {
      type: 'ClusterIP',
      clusterIP: address,
      clusterIPs: [address],
      ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
    },
    status: {},
  } as never
}
