// Talks inside a network namespace, as it is told line by line: {id, verb, …} → {id, …} or {id, error}.
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'

const PATIENCE = 2_000
const open = new Map()
const plain = (address) => address.replace(/^::ffff:/, '')

const verbs = {
  /** Tells each who connects, or sends a datagram, as whom it is seen; what follows is said back. */
  listen: ({ port, protocol = 'tcp', host = '::' }) =>
    new Promise((resolve, reject) => {
      if (protocol === 'udp') {
        const socket = createSocket({ type: 'udp6' }, (_data, from) =>
          socket.send(`${plain(from.address)}\n`, from.port, from.address),
        )
        socket.once('error', reject).bind(port, host, () => resolve({}))
        return
      }
      const server = createServer((socket) => {
        socket.on('error', () => socket.destroy())
        socket.write(`${plain(socket.remoteAddress)}\n`)
        socket.on('data', (data) => socket.write(data))
      })
      server.once('error', reject).listen(port, host, () => resolve({}))
    }),
  /** As whom it is seen there. */
  ask: ({ address, port, protocol = 'tcp' }) =>
    protocol === 'udp'
      ? datagram(address, port)
      : new Promise((resolve, reject) => {
          const socket = connect({ host: address, port, timeout: PATIENCE })
          const end = (act, value) => {
            socket.destroy()
            act(value)
          }
          socket
            .once('error', (error) => end(reject, error))
            .once('timeout', () => end(reject, new Error('no answer')))
            .once('data', (data) => end(resolve, { seenAs: String(data).trim() }))
        }),
  open: ({ name, address, port }) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: address, port })
      const connection = { socket, text: '', heard: undefined, failed: reject }
      open.set(name, connection)
      socket.on('error', (error) => connection.failed(error))
      socket.on('data', (data) => {
        connection.text += data
        connection.heard?.()
      })
      socket.once('data', () => resolve({}))
    }),
  /** Over an open connection; there and back. */
  say: ({ name, text }) =>
    new Promise((resolve, reject) => {
      const connection = open.get(name)
      connection.text = ''
      connection.failed = reject
      connection.heard = () => connection.text.length >= text.length && resolve({ text: connection.text })
      connection.socket.write(text)
    }),
}

function datagram(address, port) {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    const end = (act, value) => {
      clearTimeout(late)
      socket.close()
      act(value)
    }
    const late = setTimeout(() => end(reject, new Error('no answer')), PATIENCE)
    socket
      .once('error', (error) => end(reject, error))
      .once('message', (data) => end(resolve, { seenAs: String(data).trim() }))
    socket.send('who', port, address)
  })
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, verb, ...request } = JSON.parse(line)
    verbs[verb](request).then(
      (answer) => process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`),
      (error) => process.stdout.write(`${JSON.stringify({ id, error: error.message })}\n`),
    )
  })
  .on('close', () => process.exit())
