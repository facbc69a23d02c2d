/** Rules of an Ingress as kubectl writes them on a command line: "host/path=service:port,tls=secret". */
import type { JsonObject } from '../proto/gen/types.ts'
import { UsageError } from '../proto/client/failures.ts'

export interface IngressWords {
  readonly class: string | undefined
  /** "service:port" */
  readonly fallback: string | undefined
  /** "key=value" */
  readonly annotations: readonly string[]
}

/** Metadata and spec. Rules of one host stand together, in the order of its first. */
export function ingressOf(
  rules: readonly string[],
  { class: ingressClassName, fallback, annotations }: IngressWords,
): JsonObject {
  const hosts = new Map<string, JsonObject[]>()
  const secrets = new Map<string, Set<string>>()
  for (const rule of rules) {
    const { host, path, backend, secret } = parseRule(rule)
    hosts.set(host, [...(hosts.get(host) ?? []), { path: path.text, pathType: path.type, backend }])
    if (secret !== undefined) secrets.set(secret, (secrets.get(secret) ?? new Set<string>()).add(host))
  }
  const tls = [...secrets].map(([secretName, names]): JsonObject => {
    const named = [...names].filter((name) => name !== '')
    return { ...(named.length === 0 ? {} : { hosts: named }), ...(secretName === '' ? {} : { secretName }) }
  })
  const notes = annotations.map((annotation): [string, string] => {
    const at = annotation.indexOf('=')
    if (at <= 0) throw new UsageError(`--annotation="${annotation}" is not KEY=VALUE`)
    return [annotation.slice(0, at), annotation.slice(at + 1)]
  })
  return {
    ...(notes.length === 0 ? {} : { metadata: { annotations: Object.fromEntries(notes) } }),
    spec: {
      ...(ingressClassName === undefined ? {} : { ingressClassName }),
      ...(fallback === undefined ? {} : { defaultBackend: parseBackend(fallback, '--default-backend') }),
      ...(tls.length === 0 ? {} : { tls }),
      ...(hosts.size === 0
        ? {}
        : {
            rules: [...hosts].map(([host, paths]): JsonObject => ({
              ...(host === '' ? {} : { host }),
              http: { paths },
            })),
          }),
    },
  }
}

function parseRule(rule: string) {
  const [, place = '', service = '', options] = /^([^=]*)=([^,]+)(?:,(.*))?$/.exec(rule) ?? []
  const at = place.indexOf('/')
  if (at === -1 || service === '')
    throw new UsageError(
      `--rule="${rule}" is not HOST/PATH=SERVICE:PORT[,tls[=SECRET]]`,
      'write it as shop.example.com/*=web:80; begin with "/" to mean every host',
    )
  const text = place.slice(at)
  const path = text.endsWith('*') ? { text: text.slice(0, -1), type: 'Prefix' } : { text, type: 'Exact' }
  return {
    host: place.slice(0, at),
    path,
    backend: parseBackend(service, `--rule="${rule}"`),
    secret: parseOptions(rule, options),
  }
}

/** The Secret; '' for a certificate of the ingress proxy's own; undefined without TLS. */
function parseOptions(rule: string, options: string | undefined): string | undefined {
  if (options === undefined) return undefined
  const [, secret = ''] =
    /^tls(?:=(.+))?$/.exec(options) ??
    (() => {
      throw new UsageError(`--rule="${rule}": "${options}" is not tls or tls=SECRET`)
    })()
  return secret
}

function parseBackend(text: string, where: string): JsonObject {
  const [, name, port] = /^([^:]+):([^:]+)$/.exec(text) ?? []
  if (name === undefined || port === undefined) throw new UsageError(`${where}: "${text}" is not SERVICE:PORT`)
  return { service: { name, port: /^\d+$/.test(port) ? { number: Number(port) } : { name: port } } }
}
