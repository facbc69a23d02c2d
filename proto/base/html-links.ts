/**
 * Links in HTML that lead to the root of a host, turned into ones below a prefix: for pages that are seen through a
 * proxy. All else of the text stays as it is. Who writes the page may mean harm, so each character is looked at a
 * bounded number of times.
 * https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
 */
import { Transform, type TransformCallback } from 'node:stream'

/**
 * By element, those of its attributes that are links. https://html.spec.whatwg.org/multipage/indices.html#attributes-3
 */
const LINKS: Readonly<Record<string, readonly string[]>> = {
  a: ['href'],
  applet: ['codebase'],
  area: ['href'],
  audio: ['src'],
  base: ['href'],
  blockquote: ['cite'],
  body: ['background'],
  button: ['formaction'],
  command: ['icon'],
  del: ['cite'],
  embed: ['src'],
  form: ['action'],
  frame: ['longdesc', 'src'],
  head: ['profile'],
  html: ['manifest'],
  iframe: ['longdesc', 'src'],
  img: ['longdesc', 'src', 'usemap'],
  input: ['formaction', 'src', 'usemap'],
  ins: ['cite'],
  link: ['href'],
  object: ['classid', 'codebase', 'data', 'usemap'],
  q: ['cite'],
  script: ['src'],
  source: ['src'],
  video: ['poster', 'src'],
}

/** Characters of a tag that is not whole yet, for whose end is waited; a longer one passes as it is. */
const TAG_LIMIT = 16 * 1024

/** `prefix`: without a slash at its end. `host`: the one that the client asked, whose absolute links are meant, too. */
export class HtmlLinks extends Transform {
  readonly #prefix: string
  readonly #host: string
  #held = ''

  constructor(prefix: string, host: string) {
    super()
    this.#prefix = prefix
    this.#host = host
  }

  /** Bytes are characters of Latin-1 here: what is no ASCII passes as it is, whatever the page's encoding. */
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const text = this.#held + chunk.toString('latin1')
    const pieces: string[] = []
    let at = 0
    for (let open = text.indexOf('<'); open !== -1; open = text.indexOf('<', at)) {
      pieces.push(text.slice(at, open))
      const end = endOfTag(text, open)
      if (end === undefined && text.length - open <= TAG_LIMIT) {
        at = open
        break
      }
      at = end ?? text.length
      pieces.push(end === undefined ? text.slice(open) : this.#tag(text.slice(open, end)))
    }
    const waits = text.startsWith('<', at)
    if (!waits) pieces.push(text.slice(at))
    this.#held = waits ? text.slice(at) : ''
    done(null, Buffer.from(pieces.join(''), 'latin1'))
  }

  override _flush(done: TransformCallback): void {
    done(null, Buffer.from(this.#held, 'latin1'))
  }

  #tag(tag: string): string {
    const name = /^<([a-zA-Z][a-zA-Z0-9]*)/.exec(tag)?.[1] ?? ''
    const links = Object.hasOwn(LINKS, name.toLowerCase()) ? LINKS[name.toLowerCase()]! : []
    return links.length === 0 ? tag : this.#withLinks(tag, name.length + 1, links)
  }

  /** The tag with those of its attributes that are links rewritten; they begin at `from`. */
  #withLinks(tag: string, from: number, links: readonly string[]): string {
    const take = (pattern: RegExp): string | undefined => {
      pattern.lastIndex = at
      const found = pattern.exec(tag)?.[0]
      at += found?.length ?? 0
      return found
    }
    let at = from
    let rewritten = tag.slice(0, from)
    while (at < tag.length) {
      const name = take(/[^\s"'>/=]+/y)
      if (name === undefined) {
        rewritten += tag[at]
        at++
        continue
      }
      const equals = take(/\s*=\s*/y)
      const value = equals === undefined ? undefined : take(/"[^"]*"|'[^']*'|[^\s"'>]+/y)
      rewritten += `${name}${equals ?? ''}${value === undefined || !links.includes(name.toLowerCase()) ? (value ?? '') : this.#value(value)}`
    }
    return rewritten
  }

  #value(value: string): string {
    const quote = value.startsWith('"') || value.startsWith("'") ? value[0]! : ''
    return `${quote}${prefixedLink(quote === '' ? value : value.slice(1, -1), this.#prefix, this.#host)}${quote}`
  }
}

/**
 * Behind the bracket that ends the tag beginning at `open`, which may stand in quotes before; undefined if there is
 * none. What is no tag ends at once.
 */
function endOfTag(text: string, open: number): number | undefined {
  if (open + 1 < text.length && !/[a-zA-Z]/.test(text[open + 1]!)) return open + 1
  let quote = ''
  for (let at = open + 1; at < text.length; at++) {
    const character = text[at]!
    if (quote !== '') quote = character === quote ? '' : quote
    else if (character === '"' || character === "'") quote = character
    else if (character === '>') return at + 1
  }
  return undefined
}

/** Below the prefix, if it leads to the root of a host that is meant; otherwise as it is. */
export function prefixedLink(link: string, prefix: string, host: string): string {
  const [, authority, path] = /^(?:(?:https?:)?\/\/([^/?#]*))?(\/.*)$/is.exec(link.trim()) ?? []
  if (path === undefined || path === prefix || path.startsWith(`${prefix}/`)) return link
  return authority === undefined || authority === host ? `${prefix}${path}` : link
}
