/**
 * A cheap client of the Kubernetes API: raw TLS connections that are kept, and of answers only the head and the length
 * are looked at. In a process of its own, so that it does not take the time of what is measured: node load.mjs FILE,
 * where the file says in JSON what to do. Prints JSON.
 *
 *   { is: 'sequence', count, warm, … }     one request after the other: { milliseconds: [one each] }
 *   { is: 'workers', workers, seconds, … } as many as go, each worker on a connection of its own: { count, seconds }
 *   { is: 'rounds', workers, … }           says "ready" once connected; then for each number that a line of its input says, so
 * many requests: a line { milliseconds: [one each], seconds }
 *   { is: 'told', watchers, watch, changes, … } many watch while one changes something: { milliseconds: [one for each
 * watcher and change] }
 *   { is: 'idle', watchers, watch }        many watch and nothing happens: prints "ready", ends with standard input
 *
 * All of them have { host, port, tls: { ca, cert, key } } and, for what is asked, { method, path, headers, body }; a #
 * in path and body becomes a number that does not come twice, behind `prefix`.
 */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { connect } from 'node:tls'

const task = JSON.parse(readFileSync(process.argv[2], 'utf8'))
let number = 0

/** One connection, with one request under way at most. */
class Connection {
  #socket
  #waiting = []
  #need = -1
  #have = 0
  #head = ''
  #done
  #fail
  /** Told of the bytes of a watch, which has no length. */
  onChunk

  static open() {
    const connection = new Connection()
    return new Promise((resolve, reject) => {
      connection.#socket = connect({ host: task.host, port: task.port, ...task.tls })
      connection.#socket.setNoDelay(true)
      connection.#socket.once('secureConnect', () => resolve(connection))
      connection.#socket.on('error', (error) => {
        reject(error)
        connection.#fail?.(error)
      })
      connection.#socket.on('close', () => connection.#fail?.(new Error('the server closed the connection')))
      connection.#socket.on('data', (chunk) => connection.#take(chunk))
    })
  }

  /** The status, once all of the answer is there. */
  ask({ method = 'GET', path, headers = {}, body }) {
    const at = ++number
    const fill = (text) => text.replaceAll('#', `${task.prefix ?? ''}${at}`)
    const bytes =
      body === undefined
        ? undefined
        : body.base64 === undefined
          ? Buffer.from(fill(body.text))
          : Buffer.from(body.base64, 'base64')
    const lines = [
      `${method} ${fill(path)} HTTP/1.1`,
      'Host: bench',
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      ...(bytes === undefined ? [] : [`Content-Length: ${bytes.length}`]),
    ]
    const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
    return new Promise((resolve, reject) => {
      this.#done = resolve
      this.#fail = reject
      this.#socket.write(bytes === undefined ? head : Buffer.concat([head, bytes]))
    })
  }

  #take(chunk) {
    if (this.onChunk !== undefined && this.#need === Infinity) return this.onChunk(chunk)
    let rest = chunk
    if (this.#need === -1) {
      this.#head += chunk.toString('latin1')
      const end = this.#head.indexOf('\r\n\r\n')
      if (end === -1) return
      const length = /content-length: (\d+)/i.exec(this.#head.slice(0, end))
      this.#need = length === null ? Infinity : Number(length[1])
      this.#have = 0
      rest = { length: this.#head.length - end - 4 }
      if (this.#need === Infinity) {
        const status = Number(this.#head.slice(9, 12))
        this.#done(status)
        if (rest.length > 0) this.onChunk?.(Buffer.from(this.#head.slice(end + 4), 'latin1'))
        return
      }
    }
    this.#have += rest.length
    if (this.#have < this.#need) return
    const status = Number(this.#head.slice(9, 12))
    this.#head = ''
    this.#need = -1
    this.#done(status)
  }

  close() {
    this.#fail = undefined
    this.#socket.destroy()
  }
}

/** Times that who is told to come back later does so, and milliseconds until then. */
const RETRIES = 50
const RETRY_AFTER = 100
const BUSY = [429, 503]

async function expect(connection, request) {
  let status = await connection.ask(request)
  for (let turn = 0; BUSY.includes(status) && turn < RETRIES; turn++) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER))
    status = await connection.ask(request)
  }
  if (status >= 300) throw new Error(`${request.method ?? 'GET'} ${request.path} was answered with ${status}`)
}

async function sequence({ count, warm = 20 }) {
  const connection = await Connection.open()
  const milliseconds = []
  for (let index = -warm; index < count; index++) {
    const began = performance.now()
    await expect(connection, task)
    if (index >= 0) milliseconds.push(performance.now() - began)
  }
  connection.close()
  return { milliseconds }
}

async function workers({ workers: width, seconds }) {
  const connections = await Promise.all(Array.from({ length: width }, () => Connection.open()))
  let count = 0
  let counting = false
  let over = false
  const running = connections.map(async (connection) => {
    while (!over) {
      await expect(connection, task)
      if (counting) count++
    }
  })
  await new Promise((resolve) => setTimeout(resolve, 500))
  counting = true
  const began = performance.now()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const took = (performance.now() - began) / 1000
  over = true
  counting = false
  await Promise.all(running)
  for (const connection of connections) connection.close()
  return { count, seconds: took }
}

/** Rounds of requests on connections that are kept, so that no round pays for them. */
async function rounds({ workers: width }) {
  const connections = await Promise.all(Array.from({ length: width }, () => Connection.open()))
  process.stdout.write('ready\n')
  for await (const line of createInterface({ input: process.stdin })) {
    let left = Number(line)
    const milliseconds = []
    const began = performance.now()
    await Promise.all(
      connections.map(async (connection) => {
        while (left-- > 0) {
          const asked = performance.now()
          await expect(connection, task)
          milliseconds.push(performance.now() - asked)
        }
      }),
    )
    const seconds = (performance.now() - began) / 1000
    process.stdout.write(`${JSON.stringify({ milliseconds, seconds })}\n`)
  }
  for (const connection of connections) connection.close()
  return {}
}

/** Opens watches, some at a time: a TLS handshake is work for both sides. */
async function watches(width, onFrame) {
  const connections = []
  while (connections.length < width) {
    connections.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(20, width - connections.length) }, async () => {
          const connection = await Connection.open()
          connection.onChunk = onFrame
          await expect(connection, { path: task.watch, headers: task.headers })
          return connection
        }),
      )),
    )
  }
  return connections
}

async function told({ watchers, changes }) {
  const milliseconds = []
  let began = 0
  let left = 0
  let all
  const connections = await watches(watchers, () => {
    if (left === 0) return
    milliseconds.push(performance.now() - began)
    if (--left === 0) all()
  })
  const writer = await Connection.open()
  for (let change = 0; change < changes; change++) {
    const heard = new Promise((resolve) => (all = resolve))
    left = watchers
    began = performance.now()
    await expect(writer, task)
    await heard
    // What came in two pieces is not counted as of the next change.
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  for (const connection of [...connections, writer]) connection.close()
  return { milliseconds }
}

async function idle({ watchers }) {
  const connections = await watches(watchers, () => undefined)
  process.stdout.write('ready\n')
  await new Promise((resolve) => process.stdin.once('end', resolve).resume())
  for (const connection of connections) connection.close()
  return {}
}

const work = { sequence, workers, rounds, told, idle }[task.is]
process.stdout.write(JSON.stringify(await work(task)))
