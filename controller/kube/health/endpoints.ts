/**
 * What tells of the face itself: whether it is well, which version it is, and its numbers.
 * https://kubernetes.io/docs/reference/using-api/health-checks/
 */
import type { Registry } from 'prom-client'
import { KUBERNETES, KUBERNETES_VERSION } from '../../../proto/base/version.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { Answer, Endpoint, KubeRequest } from '../contract.ts'
import { HttpError } from '../status.ts'
import type { Check, CheckResult, Checks } from './checks.ts'

const TEXT = 'text/plain; charset=utf-8'

export function healthEndpoints(checks: Checks, registry: Pick<Registry, 'contentType' | 'metrics'>): Endpoint[] {
  const health = [...checks.keys()].flatMap((name): Endpoint[] => {
    const handle = (request: KubeRequest): Promise<Answer> => report(name, checks.get(name)!, request)
    return [
      { path: `/${name}`, open: true, handle },
      { path: `/${name}/`, open: true, handle },
    ]
  })
  return [
    ...health,
    { path: '/version', open: true, handle: async () => ({ is: 'json', json: version() }) },
    {
      path: '/metrics',
      handle: async () => ({ is: 'bytes', type: registry.contentType, body: await registry.metrics() }),
    },
  ]
}

/** Clients compare major and minor with their own; the rest says what it is. */
function version(): JsonObject {
  return {
    ...KUBERNETES,
    gitVersion: KUBERNETES_VERSION,
    gitCommit: '',
    gitTreeState: '',
    buildDate: '',
    goVersion: `nodejs ${process.version}`,
    compiler: `v8 ${process.versions.v8}`,
    platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  }
}

/** "ok", or which check failed. One check alone is below the path by its name. */
async function report(name: string, all: readonly Check[], { path, query }: KubeRequest): Promise<Answer> {
  const only = path.slice(name.length + 2)
  if (only !== '') {
    const check = all.find((one) => one.name === only)
    if (check === undefined)
      throw new HttpError(
        404,
        'NotFound',
        `${name} has no check ${only}: there are ${all.map((one) => one.name).join(', ')}`,
        'NotFound',
      )
    const { failure } = await check.run()
    return failure === undefined ? text(200, 'ok') : text(500, `internal server error: ${failure}`)
  }
  const excluded = new Set(query.getAll('exclude'))
  const results = await Promise.all(
    all.map(async (check) =>
      excluded.has(check.name) ? { name: check.name, excluded: true } : { name: check.name, ...(await check.run()) },
    ),
  )
  const failed = results.some((result) => 'failure' in result && result.failure !== undefined)
  const lines = results.map(lineOf).join('')
  if (failed) return text(500, `${lines}${name} check failed\n`)
  return text(200, query.has('verbose') ? `${lines}${name} check passed\n` : 'ok')
}

function lineOf(result: { readonly name: string; readonly excluded?: boolean } & CheckResult): string {
  if (result.excluded === true) return `[+]${result.name} excluded: ok\n`
  return result.failure === undefined ? `[+]${result.name} ok\n` : `[-]${result.name} failed: ${result.failure}\n`
}

function text(code: number, body: string): Answer {
  return { is: 'bytes', code, type: TEXT, body, headers: { 'X-Content-Type-Options': 'nosniff' } }
}
