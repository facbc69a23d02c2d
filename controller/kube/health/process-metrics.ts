/**
 * What this process uses, read when somebody asks. Of several processes of a controller the numbers are added, and the
 * first to begin says when that was.
 * https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
 */
import { readdirSync } from 'node:fs'
import { Counter, Gauge, type Aggregator, type Registry } from 'prom-client'
import type { Clock } from '../../../proto/base/clock.ts'

export function addProcessMetrics(registry: Registry, clock: Clock): void {
  const started = clock.now() / 1000 - process.uptime()
  const gauge = (name: string, help: string, value: () => number, aggregator: Aggregator = 'sum'): void => {
    new Gauge({
      name,
      help,
      aggregator,
      registers: [registry],
      collect() {
        this.set(value())
      },
    })
  }
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Seconds of processors used.',
    registers: [registry],
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / 1e6)
    },
  })
  gauge('process_resident_memory_bytes', 'Memory in use.', () => process.memoryUsage.rss())
  gauge('process_start_time_seconds', 'When the process began, in seconds since 1970.', () => started, 'min')
  gauge('process_open_fds', 'Open file descriptors.', () => readdirSync('/proc/self/fd').length)
  gauge('nodejs_heap_size_used_bytes', 'Heap in use.', () => process.memoryUsage().heapUsed)
  gauge(
    'nodejs_external_memory_bytes',
    'Memory of buffers and the like, beside the heap.',
    () => process.memoryUsage().external,
  )
}
