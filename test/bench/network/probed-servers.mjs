/**
 * Servers to be probed, in a process of their own so that only the prober's time is measured. Prints their ports; ends
 * with its input.
 */
import { createServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createServer as createTcpServer } from 'node:net'

const listen = (server) =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', 511, () => resolve(server.address().port)))
const tcp = createTcpServer((socket) =>
  socket
    .on('error', () => socket.destroy())
    .on('end', () => socket.end())
    .resume(),
)
const http = createServer((_request, response) => response.end('ok'))
// The health service in as few words as there are: a whole gRPC server would take longer than those who ask.
const grpc = createHttp2Server().on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream
    .on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    .on('error', () => stream.destroy())
    .resume()
  stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, 1]))
})
const ports = { tcpSocket: await listen(tcp), httpGet: await listen(http), grpc: await listen(grpc) }
process.stdout.write(`${JSON.stringify(ports)}\n`)
process.stdin.on('end', () => process.exit(0)).resume()
