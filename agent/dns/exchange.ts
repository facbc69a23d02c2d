/** One question to one server: over UDP from a port of its own (RFC 5452), over TCP when the answer was cut off. */
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { Random } from '../../proto/base/random.ts'
import {
  answersQuestion,
  isTruncated,
  RCODE,
  renderQuestion,
  scanResponse,
  type Answer,
  type Question,
} from './message.ts'
import { FrameReader, frame } from './tcp-frames.ts'
import type { Upstream } from './upstreams.ts'

/** `undefined`: the server cannot be asked (refused, unreachable, ended the connection). */
export type AnswerCallback = (answer: Answer | undefined) => void
/**
 * Asks; the call returned ends it without an answer. `done` is called once at most, never while `Exchange` itself runs.
 */
export type Exchange = (server: Upstream, question: Question, done: AnswerCallback) => () => void

export function exchangeWith(random: Random): Exchange {
  return (server, question, done) => {
    let cancel = (): void => undefined
    let ended = false
    const finish = (answer: Answer | undefined): void => {
      if (ended) return
      ended = true
      done(answer)
    }
    const askUdp = (withEdns: boolean): void => {
      cancel = overUdp(server, question, random, withEdns, (packet) => {
        if (ended) return
        if (packet === undefined) return finish(undefined)
        if (isTruncated(packet)) {
          cancel = overTcp(server, question, random, (whole) =>
            finish(whole === undefined ? undefined : scanResponse(whole)),
          )
          return
        }
        const answer = scanResponse(packet)
        // Servers that do not know EDNS say so, or fail (RFC 6891, 7).
        if (withEdns && (answer?.rcode === RCODE.FORMERR || answer?.rcode === RCODE.NOTIMP)) return askUdp(false)
        finish(answer)
      })
    }
    askUdp(true)
    return () => {
      ended = true
      cancel()
    }
  }
}

function overUdp(
  { address, port }: Upstream,
  question: Question,
  random: Random,
  withEdns: boolean,
  done: (packet: Buffer | undefined) => void,
): () => void {
  const id = Math.floor(random.next() * 65_536)
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  let open = true
  const end = (packet: Buffer | undefined): void => {
    if (!open) return
    open = false
    socket.close()
    done(packet)
  }
  socket.on('error', () => end(undefined))
  socket.on('message', (packet) => {
    // Anything else is a forgery or late: it is waited on.
    if (answersQuestion(packet, id, question)) end(packet)
  })
  // Connected: the kernel takes packets of that server only, and tells when its port is closed.
  socket.connect(port, address, () => {
    if (open)
      socket.send(
        renderQuestion(question, id, withEdns),
        (error) => void (error === null || error === undefined || end(undefined)),
      )
  })
  return () => {
    if (!open) return
    open = false
    socket.close()
  }
}

function overTcp(
  { address, port }: Upstream,
  question: Question,
  random: Random,
  done: (packet: Buffer | undefined) => void,
): () => void {
  const id = Math.floor(random.next() * 65_536)
  const socket = connect({ host: address, port })
  const frames = new FrameReader()
  let open = true
  const end = (packet: Buffer | undefined): void => {
    if (!open) return
    open = false
    socket.destroy()
    done(packet)
  }
  socket.on('error', () => end(undefined))
  socket.on('close', () => end(undefined))
  socket.on('data', (chunk) => {
    for (const packet of frames.take(chunk)) if (answersQuestion(packet, id, question)) return end(packet)
  })
  socket.write(frame(renderQuestion(question, id, true)))
  return () => {
    open = false
    socket.destroy()
  }
}
