/** What probes cost the agent: 300 pods, each asked once a second over loopback, in ms of CPU time per second. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { ProbeManager } from '../../../agent/pods/health/probe-manager.ts'
import { newRecord } from '../../../agent/pods/plan/pod-state.ts'
import { NodeHandlerRunner } from '../../../agent/pods/health/node-handler-runner.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { ProbeHandler } from '../../../proto/gen/types.ts'
import { makeContainer, makePod } from '../../agent/fakes.ts'
import { until } from '../../eventually.ts'
import type { Figure } from '../figures.ts'

const PODS = 300
/** Spans of a second that are measured, after all pods were asked once. */
const SPANS = 8

type Way = 'tcpSocket' | 'httpGet' | 'grpc'

export async function probeFigures(): Promise<Figure[]> {
  const servers = spawn(process.execPath, [join(import.meta.dirname, 'probed-servers.mjs')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(servers.stdout, 'data')) as [Buffer]
    const ports = JSON.parse(line.toString()) as Record<Way, number>
    const idle = await measure()
    return [
      { name: 'no probe', unit: 'ms/s', samples: idle },
      {
        name: `${PODS} tcpSocket`,
        unit: 'ms/s',
        ...(await probing({ tcpSocket: { port: ports.tcpSocket } })),
        goal: { atMost: 100 },
      },
      {
        name: `${PODS} httpGet`,
        unit: 'ms/s',
        ...(await probing({ httpGet: { port: ports.httpGet, path: '/', scheme: 'HTTP' } })),
        goal: { atMost: 200 },
      },
      { name: `${PODS} grpc`, unit: 'ms/s', ...(await probing({ grpc: { port: ports.grpc } })), goal: { atMost: 300 } },
    ]
  } finally {
    servers.stdin.end()
    if (servers.exitCode === null) await once(servers, 'exit')
  }
}

async function probing(handler: ProbeHandler): Promise<Pick<Figure, 'samples' | 'note'>> {
  const actions = new NodeHandlerRunner({
    version: 'bench',
    runtime: { exec: () => Promise.reject(new Error('no command is run here')) },
  })
  let asked = 0
  let failed = 0
  const counted: NodeHandlerRunner['probe'] = async (...request) => {
    const outcome = await actions.probe(...request)
    if (outcome.verdict === 'success') asked++
    else failed++
    return outcome
  }
  const random = seededRandom(1)
  const pods = Array.from({ length: PODS }, (_, index) => {
    const pod = makePod(`p${index}`, {
      hostNetwork: true,
      containers: [
        makeContainer('main', {
          readinessProbe: { ...handler, timeoutSeconds: 1, periodSeconds: 1, successThreshold: 1, failureThreshold: 1 },
        }),
      ],
    })
    const stage = {
      stage: 'running' as const,
      instance: { id: `c${index}`, attempt: 0, stopSignal: '' },
      pid: 1,
      startedAt: systemClock.now(),
    }
    const main = { attempt: 0, failures: 0, stage }
    const record = { ...newRecord(pod, systemClock.now()), containers: { main } }
    const health = new ProbeManager({
      record,
      deps: {
        clock: systemClock,
        random,
        actions: { probe: counted, hook: () => Promise.resolve() },
        node: { address: '127.0.0.1' } as never,
      },
      event: () => undefined,
      now: () => systemClock.now(),
      changed: () => health.syncProbes(),
    })
    // Spread over the period, as after a start of the agent.
    health.adopt()
    health.syncProbes()
    return health
  })
  try {
    await until('every pod was asked', () => asked >= PODS)
    const samples = await measure()
    return { samples, note: `${asked} answers, ${failed} failures` }
  } finally {
    pods.forEach((health) => health.stop())
  }
}

/** CPU time of this process, ms in each second. */
async function measure(): Promise<number[]> {
  const samples: number[] = []
  for (let span = 0; span < SPANS; span++) {
    const before = process.cpuUsage()
    const begun = performance.now()
    await new Promise((resolve) => systemClock.after(1000, () => resolve(undefined)))
    const { user, system } = process.cpuUsage(before)
    samples.push((user + system) / (performance.now() - begun))
  }
  return samples
}
