/**
 * This node's part of `gantry net check`: a pod's network without a pod, in which a small program echoes and tries what
 * the controller asks.
 *
 *   controller ── probes ──▶ agent ── JSON lines ──▶ gantry-netcheck, in the network namespace made for it ── packets
 * ──▶ the same on other nodes
 *
 * It ends with the stream, at its deadline, or with the agent; the next agent's start removes a network that was left.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { GantryError } from '../../../proto/base/errors.ts'
import { Channel } from '../../../proto/base/channel.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { Random } from '../../../proto/base/random.ts'
import { randomUuid } from '../../../proto/base/random.ts'
import type { RunGroup } from '../../../proto/base/run-group.ts'
import type {
  NetCheckInput,
  NetCheckOutput,
  NetCheckProbe,
  NetCheckProbeResult,
  NetCheckStart,
} from '../../../proto/gen/types.ts'
import type { Run } from '../../host/launcher.ts'
import type { Attachment, PodNetwork } from '../../network/contract.ts'
import type { TableWatch } from '../../network/table-watch.ts'
import { defaultRouter } from './default-router.ts'
import { runProbe } from './probes.ts'
import type { ProgramMessage } from './program.ts'

const PROGRAM = 'gantry-netcheck.cjs'
/** Milliseconds at most, whatever is asked for. */
const MAX_CHECK_TIMEOUT_MS = 15_000
/** Where pods ask for names: the node's resolver, agent/dns. */
const RESOLVER = '169.254.20.10'
const DNS_PORT = 53
/** Of a node itself, for probes from there: the packet need not fill anything. */
const HOST_MTU = 1_500

export interface NetworkChecksParts {
  /** Has started: whoever asks has a session with the node. */
  readonly network: Pick<PodNetwork, 'attach' | 'detach'>
  /** The node's own address. */
  readonly nodeAddress: string
  readonly tables: Pick<TableWatch, 'missing'>
  readonly run: Run
  readonly group: RunGroup
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Path of the program that probes (default: beside this one). */
  readonly program?: string
}

export class NetworkChecks {
  readonly #parts: NetworkChecksParts

  constructor(parts: NetworkChecksParts) {
    this.#parts = parts
  }

  async *run(
    start: NetCheckStart,
    inputs: AsyncIterable<NetCheckInput>,
    signal: AbortSignal,
  ): AsyncGenerator<NetCheckOutput, void, undefined> {
    const { network, clock, random, log } = this.#parts
    const ending = new AbortController()
    const both = AbortSignal.any([signal, ending.signal])
    const millis = Math.min(
      MAX_CHECK_TIMEOUT_MS,
      start.deadlineMillis > 0 ? start.deadlineMillis : MAX_CHECK_TIMEOUT_MS,
    )
    const late = clock.after(millis, () =>
      ending.abort(new GantryError('DeadlineExceeded', `the check is over after ${millis} ms`)),
    )
    const token = randomUuid(random)
    const id = `netcheck-${token}`
    let child: ChildProcess | undefined
    try {
      const attachment = await network.attach(id)
      const mtu = await this.#mtu(attachment.netns)
      const resolver = attachment.addresses.some((address) => !isIPv6(address))
        ? RESOLVER
        : await this.#gateway(attachment.netns)
      child = this.#begin(attachment, mtu, token)
      const outputs = new Channel<NetCheckOutput>()
      const abort = (): void => outputs.fail(both.reason)
      both.addEventListener('abort', abort, { once: true })
      if (both.aborted) abort()
      this.#listen(child, outputs, (port) => ({
        addresses: [...attachment.addresses],
        port,
        mtu,
        gateway: defaultRouter() ?? '',
        nodeAddress: this.#parts.nodeAddress,
        resolver,
      }))
      this.#parts.group.spawn(() => this.#pass(inputs, child!, outputs, token, resolver))
      yield* outputs
    } finally {
      late.cancel()
      ending.abort(new GantryError('Cancelled', 'the check has ended'))
      child?.kill('SIGKILL')
      await network
        .detach(id)
        .catch((error: unknown) =>
          log.warn(
            { id, error },
            'what a check of the network made cannot be removed; the next start of the agent does',
          ),
        )
    }
  }

  #begin({ netns, addresses }: Attachment, mtu: number, token: string): ChildProcess {
    const program = this.#parts.program ?? checkProgram()
    const families = [...new Set(addresses.map((address) => (isIPv6(address) ? 6 : 4)))].join(',')
    return spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'nsenter', `--net=${netns}`, process.execPath, program, String(mtu), token, families],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
  }

  #listen(
    child: ChildProcess,
    outputs: Channel<NetCheckOutput>,
    ready: (port: number) => Extract<NonNullable<NetCheckOutput['output']>, { case: 'ready' }>['value'],
  ): void {
    let said = ''
    child.stderr!.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000)
    })
    child.stdin!.on('error', () => undefined) // it has ended, which is told below
    child.once('error', (cause) =>
      outputs.close(
        new GantryError('FailedPrecondition', `cannot start ${child.spawnfile}: ${cause.message}`, {
          cause,
          details: [{ remedy: 'deploy/setup installs what is missing' }],
        }),
      ),
    )
    child.once('exit', (code) =>
      outputs.close(
        code === 0 ? undefined : new GantryError('Internal', `${PROGRAM} ended with ${code}: ${said.trim()}`),
      ),
    )
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const told = JSON.parse(line) as ProgramMessage
      if ('ready' in told) outputs.push({ output: { case: 'ready', value: ready(told.ready.port) } })
      else outputs.push({ output: { case: 'result', value: told.result } })
    })
  }

  /** Hands probes on until there are no more, then lets the program end. */
  async #pass(
    inputs: AsyncIterable<NetCheckInput>,
    child: ChildProcess,
    outputs: Channel<NetCheckOutput>,
    token: string,
    resolver: string,
  ): Promise<void> {
    for await (const { input } of inputs) {
      if (input?.case !== 'probe') continue
      if (input.value.kind === 'TABLES') {
        this.#parts.group.spawn(
          async () =>
            void outputs.push({ output: { case: 'result', value: await this.#lookAtTables(input.value.id) } }),
        )
        continue
      }
      const probe = this.#whole(input.value, resolver)
      if ('ok' in probe) outputs.push({ output: { case: 'result', value: probe } })
      else if (probe.fromHost)
        this.#parts.group.spawn(
          async () =>
            void outputs.push({
              output: {
                case: 'result',
                value: await runProbe(probe, { clock: this.#parts.clock, mtu: HOST_MTU, token }),
              },
            }),
        )
      else child.stdin!.write(`${JSON.stringify(probe)}\n`)
    }
    child.stdin!.end()
  }

  /** With the addresses that only the node knows; a result if it has none. */
  #whole(probe: NetCheckProbe, resolver: string): NetCheckProbe | NetCheckProbeResult {
    if (probe.address !== '') return probe
    if (probe.kind === 'DNS') return { ...probe, address: resolver, port: DNS_PORT }
    const router = defaultRouter()
    return router === undefined
      ? { id: probe.id, ok: false, millis: 0, message: 'the node has no default route' }
      : { ...probe, address: router }
  }

  async #lookAtTables(id: number): Promise<NetCheckProbeResult> {
    const begun = this.#parts.clock.monotonic()
    const result = (ok: boolean, message: string): NetCheckProbeResult => ({
      id,
      ok,
      millis: this.#parts.clock.monotonic() - begun,
      message,
    })
    try {
      const missing = (await this.#parts.tables.missing()).map(({ table }) => table)
      return missing.length === 0
        ? result(true, 'they are there')
        : result(false, `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} gone`)
    } catch (thrown) {
      return result(false, `nft cannot be asked: ${GantryError.from(thrown).message}`)
    }
  }

  async #mtu(netns: string): Promise<number> {
    const [link] = await this.#ask<{ mtu: number }>(netns, ['link', 'show', 'dev', 'eth0'])
    if (link === undefined) throw new GantryError('Internal', `${netns} has no eth0`)
    return link.mtu
  }

  async #gateway(netns: string): Promise<string> {
    const [route] = await this.#ask<{ gateway?: string }>(netns, ['-6', 'route', 'show', 'default'])
    return route?.gateway ?? ''
  }

  async #ask<T>(netns: string, args: readonly string[]): Promise<T[]> {
    const { stdout } = await this.#parts.run('nsenter', [`--net=${netns}`, 'ip', '-json', ...args])
    return JSON.parse(stdout === '' ? '[]' : stdout) as T[]
  }
}

/** NotFound if it is not installed. */
function checkProgram(): string {
  // Beside the bundle; run from its source, the agent finds it in the bundles' folder.
  const found = [join(import.meta.dirname, PROGRAM), join(import.meta.dirname, '../../../dist', PROGRAM)].find(
    existsSync,
  )
  if (found === undefined)
    throw new GantryError('NotFound', `${PROGRAM} is missing beside ${import.meta.dirname}`, {
      details: [{ field: 'program', value: PROGRAM, remedy: 'install Gantry again, or `npm run build`' }],
    })
  return found
}
