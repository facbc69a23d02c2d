/**
 * Asks for a page at a fixed rate, each time over a new connection, whether the answers keep up or not: node
 * http-load.mjs HOST PORT RATE SECONDS. Prints {"milliseconds": [one per answer], "failed": {"reason": count}}. Each
 * request has 5 s.
 */
import { connect } from 'node:net'

const [host, port, rate, seconds] = process.argv.slice(2)
const request = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
const total = Number(rate) * Number(seconds)
const milliseconds = []
const failed = {}
let asked = 0
let open = 0

function ask() {
  const began = performance.now()
  let head = ''
  let reason = 'closed without an answer'
  open++
  const socket = connect({ host, port: Number(port), noDelay: true })
  socket.setTimeout(5_000, () => socket.destroy(new Error('no answer within 5 s')))
  socket.on('connect', () => socket.write(request))
  socket.on('data', (chunk) => {
    if (head.length < 12) head += chunk.toString('latin1', 0, 12)
  })
  socket.on('error', (error) => {
    reason = error.code ?? error.message
  })
  socket.on('close', () => {
    open--
    if (head.startsWith('HTTP/1.1 200') && reason === 'closed without an answer')
      milliseconds.push(performance.now() - began)
    else
      failed[head === '' || reason !== 'closed without an answer' ? reason : head] =
        (failed[head === '' ? reason : head] ?? 0) + 1
    if (asked >= total && open === 0)
      process.stdout.write(
        JSON.stringify({ milliseconds: milliseconds.map((value) => Math.round(value * 1000) / 1000), failed }),
      )
  })
}

const start = performance.now()
const timer = setInterval(() => {
  const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * Number(rate)))
  for (; asked < due; asked++) ask()
  if (asked >= total) clearInterval(timer)
}, 1)
