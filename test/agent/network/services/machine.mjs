/**
 * A machine of the packet tests: runs inside a network namespace, answers every TCP connection and UDP packet at port
 * 8080 (and 8081) with its name and the sender's address, and connects where it is told to. Plain JavaScript, so that
 * it starts at once.
 */
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'

/** Milliseconds for an answer, where one is expected. */
const PATIENCE = 10_000

const name = process.argv[2]
const sender = ({ remoteAddress }) => remoteAddress.replace(/^::ffff:/, '')
const held = new Map()

for (const port of [8080, 8081]) {
  createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => socket.write(`${name}:${port} ${sender(socket)} ${data}`))
  }).listen({ port, host: '::' })
  for (const [type, host] of [
    ['udp4', '0.0.0.0'],
    ['udp6', '::'],
  ]) {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' })
    socket.on('message', (_, { address, port: from }) => socket.send(`${name}:${port} ${address}`, from, address))
    socket.bind(port, host)
  }
}

/** One exchange on a new connection, or on one that is held. What failed is told by its code. */
function ask(socket, text, timeout) {
  return new Promise((resolve) => {
    const end = (answer) => {
      clearTimeout(timer)
      socket.removeAllListeners('data').removeAllListeners('error')
      socket.on('error', () => undefined)
      resolve(answer)
    }
    const timer = setTimeout(() => end({ error: 'ETIMEDOUT' }), timeout)
    socket.once('data', (data) => end({ answer: data.toString() }))
    socket.once('error', ({ code }) => end({ error: code }))
    socket.write(text)
  })
}

async function tcp({ host, port, source, timeout = PATIENCE, hold }) {
  const socket = connect({ host, port, localAddress: source })
  const result = await ask(socket, 'hello', timeout)
  if (hold === undefined) socket.destroy()
  else held.set(hold, socket)
  return result
}

function udp({ host, port, timeout = PATIENCE, hold, sourcePort }) {
  return new Promise((resolve) => {
    const socket = held.get(hold) ?? createSocket(host.includes(':') ? 'udp6' : 'udp4')
    const end = (result) => {
      clearTimeout(timer)
      socket.removeAllListeners('message').removeAllListeners('error')
      if (hold === undefined) socket.close()
      else held.set(hold, socket)
      resolve(result)
    }
    const timer = setTimeout(() => end({ error: 'ETIMEDOUT' }), timeout)
    socket.once('message', (data) => end({ answer: data.toString() }))
    socket.once('error', ({ code }) => end({ error: code }))
    const send = () => socket.send('hello', (error) => error && end({ error: error.code }))
    // Connected: only then a socket hears that its packet was refused.
    if (held.has(hold)) send()
    else if (sourcePort === undefined) socket.connect(port, host, send)
    else socket.bind(sourcePort, () => socket.connect(port, host, send))
  })
}

const operations = {
  tcp,
  udp,
  again: ({ hold, timeout = PATIENCE }) => ask(held.get(hold), 'again', timeout),
  /** Many connections, some at a time; answers in counts. */
  async many({ host, port, count, source }) {
    const counts = {}
    let left = count
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        while (left-- > 0) {
          const { answer, error } = await tcp({ host, port, source })
          const key = error ?? answer.split(' ')[0]
          counts[key] = (counts[key] ?? 0) + 1
        }
      }),
    )
    return counts
  },
}

process.on(
  'message',
  ({ id, operation, request }) => void operations[operation](request).then((result) => process.send({ id, result })),
)
process.on('disconnect', () => process.exit(0))
process.send({ ready: true })
