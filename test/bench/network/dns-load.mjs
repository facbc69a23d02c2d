/**
 * Programs of the DNS benchmark, plain JavaScript so that they start at once: `echo ADDRESS PORT` sends back what it
 * gets, with the flag of an answer;
 * `generate ADDRESS PORT RATE SECONDS NAMES CLIENT…` asks for web-0 to web-NAMES, from each of its addresses in turn,
 * at a fixed rate (0: 64 under way at any time) and writes one JSON line: { sent, answered, wrong, seconds, late,
 * latencies }. Latencies are microseconds from the time that a query was due; those that the generator itself could not
 * send within a millisecond of it are `late` and have none.
 */
import { createSocket } from 'node:dgram'

const [mode, address, port, ...rest] = process.argv.slice(2)
const lookup = (host, _, done) => done(null, host, 4)
const makeSocket = () => createSocket({ type: 'udp4', recvBufferSize: 8 << 20, sendBufferSize: 8 << 20, lookup })
if (mode === 'echo') {
  const socket = makeSocket()
  socket.on('message', (packet, from) => {
    packet[2] |= 0x80
    socket.send(packet, 0, packet.length, from.port, from.address, () => undefined)
  })
  socket.bind(Number(port), address, () => process.stdout.write('ready\n'))
} else {
  const [rate, seconds, names] = rest.slice(0, 3).map(Number)
  const sockets = await Promise.all(
    rest.slice(3).map(
      (client) =>
        new Promise((resolve) => {
          const socket = makeSocket()
          socket.bind(0, client, () => socket.connect(Number(port), address, () => resolve(socket)))
        }),
    ),
  )
  const queries = Array.from({ length: names }, (_, at) => {
    const labels = [`web-${at}`, 'default', 'svc', 'cluster', 'local']
    return Buffer.concat([
      Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
      Buffer.from([0, 0, 1, 0, 1]),
    ])
  })
  const due = new Float64Array(65_536)
  const open = new Uint8Array(65_536)
  const latencies = []
  let sent = 0
  let answered = 0
  let wrong = 0
  let late = 0
  let underWay = 0
  const send = (when, isLate) => {
    const query = Buffer.from(queries[sent % names])
    const id = sent & 65_535
    query.writeUInt16BE(id, 0)
    due[id] = when
    open[id] = isLate ? 2 : 1
    sent++
    underWay++
    sockets[sent % sockets.length].send(query, () => undefined)
  }
  const start = performance.now()
  const end = start + seconds * 1000
  for (const socket of sockets) {
    socket.on('message', (packet) => {
      const id = packet.readUInt16BE(0)
      const state = open[id]
      if (state === 0) return
      open[id] = 0
      underWay--
      answered++
      if ((packet[3] & 15) !== 0 || (packet[2] & 0x80) === 0) wrong++
      const now = performance.now()
      if (rate === 0) {
        if (now < end) send(now, false)
      } else if (state === 1) latencies.push(Math.round((now - due[id]) * 1000))
    })
  }
  const finish = () => {
    const took = (performance.now() - start) / 1000
    for (const socket of sockets) socket.close()
    process.stdout.write(`${JSON.stringify({ sent, answered, wrong, seconds: took, late, latencies })}\n`)
  }
  // Turns of the event loop follow one another without a pause: timers are a millisecond apart, as much as is to be
  // measured.
  const turn = () => {
    const now = performance.now()
    if (now >= end) return underWay === 0 || now > end + 1000 ? finish() : setImmediate(turn)
    for (let burst = 0; burst < 64; burst++) {
      const next = start + (sent / rate) * 1000
      if (next > now) break
      const isLate = now - next > 1
      if (isLate) late++
      send(next, isLate)
    }
    setImmediate(turn)
  }
  if (rate > 0) turn()
  else {
    for (let at = 0; at < 64; at++) send(start, false)
    const check = () => (performance.now() < end ? setTimeout(check, 20) : finish())
    check()
  }
}
