/**
 * What a Node.js server can do at most here: HTTPS with the controller's certificates, and one answer of so many bytes
 * whatever is asked: node floor.mjs FOLDER BYTES. Who asks for /watch is answered by a chunk of as many bytes for each
 * request for /tell. Prints its port, ends with standard input.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'

const [folder, bytes] = process.argv.slice(2)
const read = (name) => readFileSync(join(folder, name))
const answer = Buffer.alloc(Number(bytes), 'x')
const watchers = new Set()
const server = createServer(
  {
    ca: read('ca.crt'),
    cert: read('server.crt'),
    key: read('server.key'),
    requestCert: true,
    rejectUnauthorized: false,
  },
  ({ url }, response) => {
    if (url === '/watch') {
      response.writeHead(200)
      response.flushHeaders()
      watchers.add(response.once('close', () => watchers.delete(response)))
      return
    }
    if (url === '/tell') for (const watcher of watchers) watcher.write(answer)
    response.writeHead(200, { 'Content-Length': answer.length })
    response.end(answer)
  },
)
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
process.stdin.once('end', () => process.exit()).resume()
