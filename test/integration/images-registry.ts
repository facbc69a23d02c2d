/** A real docker-registry on a free loopback port, in a folder of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { freePort } from './free-port.ts'

export interface TestRegistry {
  /** "127.0.0.1:PORT" */
  readonly host: string
  stop(): Promise<void>
}

/** The password of USER in HTPASSWD. */
export const USER = 'reader'
export const PASSWORD = 'secret'
const HTPASSWD = `${USER}:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n`

export async function startRegistry(options: { basicAuth?: boolean } = {}): Promise<TestRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-registry-'))
  const host = `127.0.0.1:${await freePort()}`
  await writeFile(join(folder, 'htpasswd'), HTPASSWD)
  await writeFile(
    join(folder, 'config.yml'),
    JSON.stringify({
      version: '0.1',
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(folder, 'storage') } },
      http: { addr: host },
      ...(options.basicAuth === true ? { auth: { htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } } } : {}),
    }),
  )
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, OTEL_TRACES_EXPORTER: 'none' },
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)))
  const exited = once(child, 'exit')
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await exited
    }
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await eventually(async () => child.exitCode !== null || answers(host))
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
  } catch (cause) {
    await stop()
    throw new Error(`docker-registry does not start: ${said}`, { cause })
  }
  return { host, stop }
}

async function answers(host: string): Promise<boolean> {
  try {
    const response = await fetch(`http://${host}/v2/`)
    await response.arrayBuffer()
    return response.status === 200 || response.status === 401
  } catch (error) {
    if (error instanceof TypeError) return false // fetch's way to say: not reachable yet
    throw error
  }
}
