/**
 * A rolling update of 20 replicas of nginx on three nodes while a client on one of them asks its Service 2,000 times a
 * second, each time over a new connection: requests that failed, and how long answers took compared with the steady
 * state just before. Once as Deployments do it by default, a quarter at a time, and once one by one; the client has the
 * same processors as the pods that start.
 */
import { join } from 'node:path'
import { buildShopImages, pushShopImages } from '../../../deploy/examples/shop/images/build.ts'
import { Cluster } from '../../e2e/cluster.ts'
import { percentile, type Figure } from '../figures.ts'

const RATE = 2_000
const STEADY_SECONDS = 10
/** Longer than a rollout takes. */
const ROLLOUT_SECONDS = 20
const REPLICAS = 20

const CONFIG = `worker_processes 1; error_log /dev/null; pid /tmp/nginx.pid; events { worker_connections 1024; }
http { access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e; server { listen 8080; location / { return 200 "ok"; } } }
`

const objects = [
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'rolling' }, data: { 'nginx.conf': CONFIG } },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'rolling' },
    spec: {
      replicas: REPLICAS,
      selector: { matchLabels: { app: 'rolling' } },
      template: {
        metadata: { labels: { app: 'rolling' } },
        spec: {
          securityContext: { runAsUser: 33 },
          containers: [
            {
              name: 'nginx',
              image: 'shop/web:1.0',
              readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
              volumeMounts: [{ name: 'config', mountPath: '/etc/shop' }],
            },
          ],
          volumes: [{ name: 'config', configMap: { name: 'rolling' } }],
        },
      },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'rolling' },
    spec: { selector: { app: 'rolling' }, ports: [{ port: 80, targetPort: 8080 }] },
  },
]

interface Load {
  readonly milliseconds: number[]
  readonly failed: Readonly<Record<string, number>>
}

export async function rolloutFigures(): Promise<Figure[]> {
  const cluster = await Cluster.start('bench-net', 3)
  try {
    await pushShopImages(cluster.registry, await buildShopImages({ names: ['web'] }))
    await cluster.ok(['apply', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n---\n'))
    await cluster.ok(['rollout', 'status', 'deploy/rolling', '--timeout', '120s'])
    const address = await cluster.value('service/rolling', '.spec.clusterIP')
    const load = async (seconds: number): Promise<Load> => {
      const command = [
        process.execPath,
        join(import.meta.dirname, 'http-load.mjs'),
        address,
        '80',
        String(RATE),
        String(seconds),
      ]
      return JSON.parse(
        (await cluster.rig.machine('n1').run(command, { timeout: (seconds + 30) * 1000 })).stdout,
      ) as Load
    }
    const steady = await load(STEADY_SECONDS)
    const figures: Figure[] = [
      {
        name: 'answer, steady state',
        unit: 'ms',
        samples: steady.milliseconds,
        note: `${RATE} requests/s over new connections; ${failures(steady)} failed`,
      },
    ]
    for (const [how, maxSurge, maxUnavailable] of [
      ['by a quarter', '25%', '25%'],
      ['one by one', 1, 0],
    ] as const) {
      await cluster.ok([
        'patch',
        'deploy',
        'rolling',
        '-p',
        JSON.stringify({ spec: { strategy: { rollingUpdate: { maxSurge, maxUnavailable } } } }),
      ])
      const under = load(ROLLOUT_SECONDS)
      const began = performance.now()
      await cluster.ok(['rollout', 'restart', 'deploy/rolling'])
      await cluster.ok(['rollout', 'status', 'deploy/rolling', '--timeout', '120s'])
      const took = (performance.now() - began) / 1000
      const rolled = await under
      const why = Object.entries(rolled.failed)
        .map(([reason, count]) => `${count} ${reason}`)
        .join(', ')
      const times = (percentile(rolled.milliseconds, 0.99) / percentile(steady.milliseconds, 0.99)).toFixed(1)
      figures.push(
        {
          name: `answer, rolling update ${how}`,
          unit: 'ms',
          samples: rolled.milliseconds,
          goal: { p99: 2 * percentile(steady.milliseconds, 0.99) },
          note: `p99 ${times} × steady; ${REPLICAS} replicas replaced in ${took.toFixed(1)} s`,
        },
        {
          name: 'requests failed meanwhile',
          unit: '',
          samples: [failures(rolled)],
          goal: { atMost: 0 },
          note: `of ${rolled.milliseconds.length + failures(rolled)}${why === '' ? '' : `: ${why}`}`,
        },
      )
    }
    return figures
  } finally {
    await cluster.stop()
  }
}

function failures({ failed }: Load): number {
  return Object.values(failed).reduce((sum, count) => sum + count, 0)
}
