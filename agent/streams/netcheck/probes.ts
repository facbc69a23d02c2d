/**
 * What one check of the network tries: a packet out, an answer back, in time. Used inside a pod's network namespace and
 * on the node itself.
 */
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { connect, isIPv6 } from 'node:net'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { NetCheckProbe, NetCheckProbeResult } from '../../../proto/gen/types.ts'

/** Bytes before a UDP datagram's payload: RFC 791 and RFC 8200, with RFC 768. */
const HEADERS = { 4: 28, 6: 48 }
/** A datagram may be lost while neighbours are looked up: it is sent so many times in the time given. */
const TRIES = 4

export type Probe = NetCheckProbe
export type ProbeResult = NetCheckProbeResult

/** What a probe cannot know itself. */
export interface ProbeContext {
  readonly clock: Clock
  /** Of the interface that packets leave by. */
  readonly mtu: number
  /** Distinguishes one check's echoes from another's. */
  readonly token: string
}

/** Never rejects: a failure is a result. */
export async function runProbe(probe: Probe, around: ProbeContext): Promise<ProbeResult> {
  const begun = around.clock.monotonic()
  const done = (ok: boolean, message: string): ProbeResult => ({
    id: probe.id,
    ok,
    millis: Math.round((around.clock.monotonic() - begun) * 100) / 100,
    message,
  })
  try {
    return done(true, await answerOf(probe, around))
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException
    return done(false, code === undefined ? message : (ERROR_TEXTS[code] ?? `${message} (${code})`))
  }
}

const ERROR_TEXTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection is refused: packets arrive, and nothing listens there',
  EHOSTUNREACH: 'no route to it (EHOSTUNREACH)',
  ENETUNREACH: 'no route to its network (ENETUNREACH)',
  ECONNRESET: 'the connection is broken off',
  ETIMEDOUT: 'no answer',
  EMSGSIZE: 'the packet is too large for the way (EMSGSIZE)',
  ENOTFOUND: 'the resolver answers that there is no such name',
  ENODATA: 'the resolver knows the name, but no address of it',
  ESERVFAIL: 'the resolver answers SERVFAIL',
  EREFUSED: 'the resolver refuses to answer',
  ETIMEOUT: 'the resolver does not answer',
}

function answerOf(probe: Probe, around: ProbeContext): Promise<string> {
  switch (probe.kind) {
    case 'TCP_ECHO':
      return tcp(probe, around, around.token)
    case 'TCP_CONNECT':
      return tcp(probe, around, undefined)
    case 'TCP_REACH':
      return tcp(probe, around, undefined).catch((thrown: NodeJS.ErrnoException) => {
        if (thrown.code === 'ECONNREFUSED') return 'it answers'
        throw thrown
      })
    case 'UDP_ECHO':
      return udp(probe, around, Buffer.from(around.token))
    case 'UDP_FULL':
      return udp(probe, around, Buffer.alloc(around.mtu - HEADERS[isIPv6(probe.address) ? 6 : 4], around.token))
    case 'DNS':
      return resolve(probe)
    case 'TABLES':
      throw new GantryError('Internal', 'tables are looked at by the agent itself')
  }
}

function tcp(
  { address, port, timeoutMillis }: Probe,
  { clock }: ProbeContext,
  echo: string | undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port })
    const end = (settle: () => void): void => {
      timer.cancel()
      socket.destroy()
      settle()
    }
    const timer = clock.after(timeoutMillis, () => end(() => reject(new Error(`no answer within ${timeoutMillis} ms`))))
    let heard = ''
    socket.once('error', (error) => end(() => reject(error)))
    socket.once('connect', () => {
      if (echo === undefined) end(() => resolve('the connection is taken'))
      else socket.write(echo)
    })
    socket.on('data', (chunk) => {
      heard += chunk.toString()
      if (echo !== undefined && heard.length >= echo.length)
        end(() => (heard === echo ? resolve('echoed') : reject(new Error('something else answers there'))))
    })
    socket.once('end', () => end(() => reject(new Error('the connection is taken and ended without an answer'))))
  })
}

function udp({ address, port, timeoutMillis }: Probe, { clock }: ProbeContext, payload: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    let sent = 0
    let timer = clock.after(timeoutMillis, () => undefined)
    const end = (settle: () => void): void => {
      timer.cancel()
      socket.close()
      settle()
    }
    const send = (): void => {
      if (sent++ === TRIES)
        return end(() =>
          reject(
            new Error(
              `no answer to ${TRIES} packets of ${payload.length + HEADERS[isIPv6(address) ? 6 : 4]} bytes within ${timeoutMillis} ms`,
            ),
          ),
        )
      socket.send(payload)
      timer.cancel()
      timer = clock.after(timeoutMillis / TRIES, send)
    }
    socket.once('error', (error) => end(() => reject(error)))
    socket.on('message', (message) => {
      if (message.equals(payload))
        end(() => resolve(`${payload.length + HEADERS[isIPv6(address) ? 6 : 4]} bytes there and back`))
    })
    socket.connect(port, address, send)
  })
}

async function resolve({ address, port, name, timeoutMillis }: Probe): Promise<string> {
  const resolver = new Resolver({ timeout: Math.ceil(timeoutMillis / 2), tries: 2 })
  resolver.setServers([`${isIPv6(address) ? `[${address}]` : address}:${port === 0 ? 53 : port}`])
  const answers = await resolver
    .resolve4(name)
    .catch((thrown: NodeJS.ErrnoException) =>
      thrown.code === 'ENODATA' ? resolver.resolve6(name) : Promise.reject(thrown),
    )
  return answers.join(', ')
}
