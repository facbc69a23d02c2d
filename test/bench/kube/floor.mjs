/**
 * What a Node.js server can do at most here: HTTPS with the controller's certificates, and one answer of so many bytes
 * whatever is asked: node floor.mjs FOLDER BYTES. Prints its port, ends with standard input.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'

const [folder, bytes] = process.argv.slice(2)
const read = (name) => readFileSync(join(folder, name))
const answer = Buffer.alloc(Number(bytes), 'x')
const server = createServer(
  {
    ca: read('ca.crt'),
    cert: read('server.crt'),
    key: read('server.key'),
    requestCert: true,
    rejectUnauthorized: false,
  },
  (_, response) => {
    response.writeHead(200, { 'Content-Length': answer.length })
    response.end(answer)
  },
)
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
process.stdin.once('end', () => process.exit()).resume()
