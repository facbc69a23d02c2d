/** Which component of the controller the samples of a profile belong to, by the files that functions are in. */
import { readFileSync } from 'node:fs'
import type { CpuProfile, ProfileNode } from './profiler.ts'

/** Samples of each component. */
export type Samples = ReadonlyMap<string, number>

const GARBAGE = 'garbage collection'
const REST = 'native and rest'

/** Where files belong; the first that fits counts. */
const COMPONENTS: readonly (readonly [component: string, files: RegExp])[] = [
  ['node sessions', /^(controller\/(dispatch|grpc)|proto\/rpc)\/|^node_modules\/@grpc\/grpc-js\/build\/src\/server/],
  ['etcd client', /^controller\/store\/|^node_modules\/(etcd3|@grpc|cockatiel)\/|^node:internal\/http2\//],
  ['managedFields', /^proto\/merge\/(field-set|ownership|conflicting-defaults)/],
  ['patches', /^proto\/merge\//],
  ['defaults', /^proto\/codec\/(defaults|zero-values)/],
  ['codec', /^proto\/(codec|gen|schema)\/|^node_modules\/(@?protobufjs|long)\//],
  ['validation', /^proto\/validation\//],
  [
    'admission',
    /^controller\/(admission|cel)\/|^controller\/api\/(\w+-)?(admission|plugins)|^node_modules\/@marcbachmann\//,
  ],
  ['API core', /^controller\/(api|objects|kinds)\/|^proto\/objects\//],
  ['requests', /^controller\/(requests|authorization|accounts|traffic)\//],
  ['HTTP and TLS', /^controller\/kube\/|^node:(_?http|_?tls|https)/],
  ['scheduler', /^controller\/scheduler\//],
  ['informer', /^controller\/informer\//],
  ['reconcilers', /^controller\/(reconcile|runner|nodehealth|election)\//],
  ['events', /^controller\/events\/|^node_modules\/(nats|nkeys\.js|tweetnacl)\//],
  ['log and metrics', /^node_modules\/(pino|sonic-boom|prom-client|thread-stream|safe-stable-stringify)/],
]
/** What serves whoever calls it; where nobody known does, connections of clients are what is left. */
const FALLBACK = /^node:(net|internal\/(stream_base_commons|streams|js_stream_socket))/

export class ComponentTable {
  readonly #bundle: string
  /** Lines at which another file begins, and which, in order. */
  readonly #lines: readonly number[]
  readonly #files: readonly string[]

  /** Of a bundle as esbuild writes it: before each file's text a comment that names it. */
  constructor(bundle: string) {
    this.#bundle = bundle
    const begins = readFileSync(bundle, 'utf8')
      .split('\n')
      .flatMap((line, number) => {
        const file = /^\/\/ ([\w@./-]+\.[cm]?[jt]s)$/.exec(line)?.[1]
        return file === undefined ? [] : [{ number, file }]
      })
    if (begins.length === 0) throw new Error(`${bundle} does not say which files it is made of`)
    this.#lines = begins.map(({ number }) => number)
    this.#files = begins.map(({ file }) => file)
  }

  /** What ran, without what was idle. A function of no component counts for whoever called it. */
  samples({ nodes }: CpuProfile): Samples {
    const byId = new Map(nodes.map((node) => [node.id, node]))
    const samples = new Map<string, number>()
    const visit = (node: ProfileNode, callers: string | undefined): void => {
      if (node.callFrame.functionName === '(idle)') return
      const component = this.#component(node, callers)
      if ((node.hitCount ?? 0) > 0) {
        const name = component ?? REST
        samples.set(name, (samples.get(name) ?? 0) + node.hitCount!)
      }
      for (const child of node.children ?? []) visit(byId.get(child)!, component)
    }
    if (nodes.length > 0) visit(nodes[0]!, undefined)
    return samples
  }

  #component(
    { callFrame: { functionName, url, lineNumber } }: ProfileNode,
    callers: string | undefined,
  ): string | undefined {
    if (functionName === '(garbage collector)') return GARBAGE
    // The inspector tells paths as URLs.
    const path = url.replace(/^file:\/\//, '')
    const file = path === this.#bundle ? this.#fileAt(lineNumber) : path
    const own = COMPONENTS.find(([, files]) => files.test(file))?.[0]
    return own ?? callers ?? (FALLBACK.test(file) ? 'HTTP and TLS' : undefined)
  }

  #fileAt(line: number): string {
    let low = 0
    let high = this.#lines.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#lines[middle]! <= line) low = middle + 1
      else high = middle
    }
    return this.#files[low - 1] ?? ''
  }
}
