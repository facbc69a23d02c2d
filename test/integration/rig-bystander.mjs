// Runs on a machine of a rig under test, and tells over HTTP (port 7999) what a bystander there notices: whether others
// answer, what arrives.
import dgram from 'node:dgram'
import http from 'node:http'
import net from 'node:net'

/** Milliseconds that an answer may take. */
const PATIENCE = 300
/** Bytes that are written at once when much is sent. */
const CHUNK = Buffer.alloc(16 * 1024)

/** Datagrams that arrived, by sender. */
const heard = {}
const connections = new Map()
let numbers = 0

for (const port of [7000, 7001]) {
  const echo = dgram.createSocket('udp4')
  echo.on('message', (message, { address, port: from }) => {
    heard[address] = (heard[address] ?? 0) + 1
    echo.send(message, from, address)
  })
  echo.bind(port)
  net.createServer((socket) => void socket.on('error', () => socket.destroy()).pipe(socket)).listen(port)
}
// Takes all, and says so with one byte at the end.
net
  .createServer(
    { allowHalfOpen: true },
    (socket) =>
      void socket
        .on('error', () => socket.destroy())
        .resume()
        .on('end', () => socket.end('.')),
  )
  .listen(7002)

/** Sends datagrams; how many come back, each within the patience after the last. */
async function ask({ to, port = 7000, count = 3 }) {
  const socket = dgram.createSocket('udp4')
  const answered = new Set()
  const failures = new Set()
  const all = new Promise((resolve) =>
    socket.on('message', (message) => {
      answered.add(message.toString())
      if (answered.size === Number(count)) resolve()
    }),
  )
  for (let number = 0; number < Number(count); number++) {
    await new Promise((resolve) =>
      socket.send(String(number), Number(port), to, (error) => {
        if (error !== null) failures.add(error.code)
        resolve()
      }),
    )
    // The receiver's buffer holds about 270 packets. What a busy machine lets run over there would count as lost on the
    // way.
    if (number % 20 === 19) await new Promise((resolve) => setTimeout(resolve, number % 120 === 119 ? 50 : 1))
  }
  await within(all)
  socket.close()
  return { answered: answered.size, failures: [...failures] }
}

/** Opens a connection; its number. */
async function open({ to, port = 7000 }) {
  const socket = net.connect(Number(port), to)
  const outcome = await within(
    new Promise((resolve) => socket.once('connect', () => resolve('open')).once('error', ({ code }) => resolve(code))),
  )
  socket.on('error', () => socket.destroy())
  if (outcome !== 'open') {
    socket.destroy()
    return { outcome: outcome ?? 'silence' }
  }
  connections.set(++numbers, socket)
  return { outcome, id: numbers }
}

/** Writes on an open connection; whether it comes back. */
async function say({ id }) {
  const socket = connections.get(Number(id))
  const answer = within(
    new Promise((resolve) => socket.once('data', () => resolve('answer')).once('close', () => resolve('closed'))),
  )
  socket.write('x')
  return { outcome: (await answer) ?? 'silence' }
}

/** Sends so many bytes on a connection; milliseconds until the other side has them all. */
async function pour({ to, bytes }) {
  const socket = net.connect({ port: 7002, host: to, allowHalfOpen: true })
  const begun = performance.now()
  let left = Number(bytes)
  const over = new Promise((resolve, reject) =>
    socket.on('error', reject).on('data', () => resolve(performance.now() - begun)),
  )
  const more = () => {
    for (; left > 0; left -= CHUNK.length)
      if (!socket.write(CHUNK.subarray(0, left))) return void (left -= CHUNK.length)
    socket.end()
  }
  socket.on('connect', more).on('drain', more)
  const millis = await over
  socket.destroy()
  return { millis }
}

function within(promise) {
  return Promise.race([promise, new Promise((resolve) => setTimeout(resolve, PATIENCE))])
}

const verbs = { ask, open, say, pour, heard: () => heard }

http
  .createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://machine')
    Promise.resolve(verbs[pathname.slice(1)](Object.fromEntries(searchParams))).then(
      (answer) => response.end(JSON.stringify(answer)),
      (error) => response.writeHead(500).end(JSON.stringify({ error: String(error) })),
    )
  })
  .listen(7999)
