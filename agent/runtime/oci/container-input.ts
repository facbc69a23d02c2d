/**
 * A container's standard input, by conmon's attach socket. It keeps the boundaries of packets (SOCK_SEQPACKET,
 * unix(7)), which Node.js has no sockets for; so socat carries the bytes. What conmon sends there, the container's
 * output, is read and dropped: it would wait for a reader, and the container with it. Output is taken from the log,
 * which has it all.
 */
import { spawn } from 'node:child_process'
import { GantryError } from '../../../proto/base/errors.ts'
import type { ContainerInput } from '../contract.ts'

/** Of Linux on every architecture that Node.js runs on. */
const SOCK_SEQPACKET = 5
/** Bytes of a packet: conmon reads 32 KiB at a time and would lose what goes beyond. */
const MAX_PACKET_BYTES = '8192'

export function connectContainerInput(socket: string): Promise<ContainerInput> {
  const child = spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      'socat',
      '-b',
      MAX_PACKET_BYTES,
      '-t',
      '0.1',
      'STDIN!!OPEN:/dev/null,wronly',
      `UNIX-CONNECT:${socket},socktype=${SOCK_SEQPACKET}`,
    ],
    { stdio: ['pipe', 'ignore', 'pipe'] },
  )
  let said = ''
  let ended = false
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000)
  })
  const end = new Promise<number>((resolve) => {
    child.once('exit', (code) => {
      ended = true
      resolve(code ?? -1)
    })
  })
  child.stdin.on('error', () => (ended = true)) // the container has ended: whoever reads its output learns that
  const input: ContainerInput = {
    write: (chunk) => {
      if (ended) return Promise.resolve()
      return Promise.race([
        end.then(() => undefined),
        new Promise<void>((resolve) => void child.stdin.write(chunk, () => resolve())),
      ])
    },
    close: async () => {
      child.stdin.end()
      await end
    },
  }
  return new Promise((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        new GantryError('FailedPrecondition', `cannot start ${child.spawnfile}: ${cause.message}`, {
          cause,
          details: [{ remedy: 'deploy/setup installs what is missing' }],
        }),
      ),
    )
    child.once('spawn', () => resolve(input))
    end.then((code) => {
      if (code !== 0)
        reject(new GantryError('FailedPrecondition', `the container's input cannot be joined: ${said.trim()}`))
    }, reject)
  })
}
