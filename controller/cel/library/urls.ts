/** URLs. https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-url-library */
import type { Environment } from '@marcbachmann/cel-js'
import { CelError } from '../error.ts'
import { define } from './define.ts'

/** An absolute URI, or a path on a host, as Go's url.ParseRequestURI takes them. */
class Url {
  readonly parsed: URL
  readonly absolute: boolean
  readonly text: string

  constructor(text: string, parsed: URL, absolute: boolean) {
    this.text = text
    this.parsed = parsed
    this.absolute = absolute
  }

  compare(other: Url): number {
    return this.text === other.text ? 0 : this.text < other.text ? -1 : 1
  }
}

function read(text: string): Url | undefined {
  if (/\s/.test(text)) return undefined
  if (text.startsWith('/')) return new Url(text, new URL(text.replace(/^\/+/, '/'), 'http://host'), false)
  return /^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(text) && URL.canParse(text) ? new Url(text, new URL(text), true) : undefined
}

export function registerUrls(environment: Environment): void {
  define(
    environment,
    {
      'isURL(string): bool': (text: string) => read(text) !== undefined,
      'url(string): Url': (text: string) => {
        const url = read(text)
        if (url === undefined) throw new CelError(`"${text}" is no URL`, 'evaluation')
        return url
      },
      'Url.getScheme(): string': (url: Url) => (url.absolute ? url.parsed.protocol.slice(0, -1) : ''),
      'Url.getHost(): string': (url: Url) => (url.absolute ? authorityOf(url.text) : ''),
      'Url.getHostname(): string': (url: Url) =>
        url.absolute
          ? authorityOf(url.text)
              .replace(/:\d*$/, '')
              .replace(/^\[|\]$/g, '')
          : '',
      'Url.getPort(): string': (url: Url) => (url.absolute ? (/:(\d+)$/.exec(authorityOf(url.text))?.[1] ?? '') : ''),
      'Url.getEscapedPath(): string': (url: Url) =>
        url.absolute && !/^[a-z0-9+.-]+:\/\/[^/?#]*\//i.test(url.text) ? '' : url.parsed.pathname,
      'Url.getQuery(): map<string, list<string>>': (url: Url) =>
        new Map(
          [...new Set(url.parsed.searchParams.keys())].map((name) => [name, url.parsed.searchParams.getAll(name)]),
        ),
    },
    {},
    [Url],
  )
  environment.registerOperator('Url == Url', (a: Url, b: Url) => a.text === b.text)
}

/** As it was written: a port that is the scheme's own is not left out. */
function authorityOf(text: string): string {
  return (/^[a-z0-9+.-]+:\/\/([^/?#]*)/i.exec(text)?.[1] ?? '').replace(/^[^@]*@/, '')
}
