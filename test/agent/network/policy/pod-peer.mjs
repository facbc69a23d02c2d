/**
 * Runs inside a pod's network namespace: listens, counts what arrives, and connects when told to. One JSON command a
 * line on its input, one JSON answer a line on its output. Ends when its input does.
 */
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'

/** Milliseconds that an attempt lasts at most; what is refused is answered long before. */
const LONGEST = 20_000
/** What came in: "TCP/80" → connections, "UDP/80" → packets, "bytes" on connections. */
const counts = {}
const held = new Map()

function count(key, by = 1) {
  counts[key] = (counts[key] ?? 0) + by
}

/** Answers whatever comes. */
function serve({ tcp, udp }) {
  return Promise.all([
    ...tcp.map(
      (port) =>
        new Promise((resolve, reject) => {
          const server = createServer((socket) => {
            count(`TCP/${port}`)
            socket.on('error', () => undefined)
            socket.on('data', (chunk) => {
              count('bytes', chunk.length)
              socket.write(chunk)
            })
          })
          server.on('error', reject)
          server.listen({ port, host: '::', ipv6Only: false }, resolve)
        }),
    ),
    ...udp.flatMap((port) =>
      ['udp4', 'udp6'].map(
        (type) =>
          new Promise((resolve, reject) => {
            const socket = createSocket({ type, ipv6Only: type === 'udp6' })
            socket.on('error', reject)
            socket.on('message', (message, { port: from, address }) => {
              count(`UDP/${port}`)
              socket.send(message, from, address)
            })
            socket.bind(port, resolve)
          }),
      ),
    ),
  ])
}

/** 'answered', the error's code, or 'silence'. */
function attemptTcp({ address, port, hold, longest = LONGEST }) {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port })
    const timer = setTimeout(() => end('silence'), longest)
    const end = (result) => {
      clearTimeout(timer)
      if (hold === undefined || result !== 'answered') socket.destroy()
      else held.set(hold, socket)
      resolve(result)
    }
    socket.once('error', ({ code }) => end(code))
    socket.once('connect', () => socket.write('hello'))
    socket.once('data', () => end('answered'))
  })
}

/** Says something on a connection that is held: as attemptTcp, or 'ended'. */
function sayTcp({ hold }) {
  const socket = held.get(hold)
  return new Promise((resolve) => {
    const timer = setTimeout(() => end('silence'), LONGEST)
    const end = (result) => {
      clearTimeout(timer)
      socket.removeAllListeners()
      socket.on('error', () => undefined)
      resolve(result)
    }
    socket.once('error', ({ code }) => end(code))
    socket.once('close', () => end('ended'))
    socket.once('data', () => end('answered'))
    socket.write('more')
  })
}

function attemptUdp({ address, port, longest = LONGEST }) {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    const timer = setTimeout(() => end('silence'), longest)
    const end = (result) => {
      clearTimeout(timer)
      socket.close()
      resolve(result)
    }
    socket.once('error', ({ code }) => end(code))
    socket.once('message', () => end('answered'))
    socket.connect(port, address, () => socket.send('hello'))
  })
}

/** Begins without pause until told to stop: how many attempts were answered, and how many were not. */
let flooding
async function flood({ protocol, address, port }) {
  const attempt = protocol === 'udp' ? attemptUdp : attemptTcp
  const tally = { answered: 0, refused: 0 }
  flooding = { tally, on: true }
  while (flooding.on)
    tally[(await attempt({ address, port, longest: 5_000 })) === 'answered' ? 'answered' : 'refused']++
  return tally
}

/** Sends datagrams as fast as it can, whatever comes of them, until told to stop: how many. */
async function storm({ address, port }) {
  const socket = createSocket('udp4')
  await new Promise((resolve) => socket.connect(port, address, resolve))
  // What is refused is told with a later one.
  socket.on('error', () => undefined)
  let sent = 0
  flooding = { tally: {}, on: true }
  while (flooding.on) {
    for (let count = 0; count < 50; count++, sent++) socket.send('x', () => undefined)
    await new Promise(setImmediate)
  }
  socket.close()
  return sent
}

/** Connections a second, each with a question and its answer, one after another. */
async function rate({ address, port, millis }) {
  const began = performance.now()
  let count = 0
  for (; performance.now() - began < millis; count++) {
    const result = await attemptTcp({ address, port })
    if (result !== 'answered') throw new Error(result)
  }
  return (count * 1000) / (performance.now() - began)
}

const actions = {
  serve,
  tcp: attemptTcp,
  say: sayTcp,
  udp: attemptUdp,
  flood,
  storm,
  rate,
  tally: () => flooding.tally,
  calm: () => (flooding.on = false),
  counts: () => counts,
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, action, ...rest } = JSON.parse(line)
  Promise.resolve(actions[action](rest)).then(
    (result) => process.stdout.write(`${JSON.stringify({ id, result })}\n`),
    (error) => process.stdout.write(`${JSON.stringify({ id, error: error.message })}\n`),
  )
}
process.exit(0)
