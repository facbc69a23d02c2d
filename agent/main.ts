/** gantry-agent: builds the agent's parts for this machine and runs it until SIGTERM or SIGINT. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../proto/api/errors.ts'
import { configure } from '../proto/api/program.ts'
import { connect } from '../proto/api/rpc.ts'
import { systemClock } from '../proto/base/clock.ts'
import { createLogger } from '../proto/base/logger.ts'
import { systemRandom } from '../proto/base/random.ts'
import { VERSION } from '../proto/base/version.ts'
import { runAgent } from './agent.ts'
import { AGENT_SETTINGS, type TlsFiles } from './config.ts'
import { ImageStore } from './images/image-store.ts'
import { Launcher } from './launcher.ts'
import { BridgeNetwork } from './network/bridge.ts'
import { AGENT } from './options.ts'
import { OciDriver } from './runtime/oci/driver.ts'
import { FileState } from './state/file.ts'

/** Exit codes: 0 stopped as asked, 1 failed, 2 command line or settings refused. */
async function main(): Promise<void> {
  const start = await configure(AGENT, AGENT_SETTINGS, process.argv.slice(2), process)
  if ('exitCode' in start) return void (process.exitCode = start.exitCode)
  const config = start.settings
  const log = createLogger('gantry-agent')
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort(new GantryError('Cancelled', `${signal} received`)))
  const common = { clock: systemClock, random: systemRandom }
  const launcher = new Launcher(join(config.runDir, 'launch'), systemClock)
  try {
    const tls = config.tls === undefined ? undefined : await readTls(config.tls)
    await runAgent({
      ...common,
      log, config,
      version: VERSION,
      runtime: new OciDriver({
        stateDir: join(config.runDir, 'runtime'), runDir: join(config.runDir, 'oci'), programDir: join(config.stateDir, 'runtime'), cgroupParent: config.cgroupParent,
        ...(config.runtime === 'auto' ? {} : { runtime: config.runtime }),
        launcher, clock: systemClock, logger: log.child({ component: 'runtime' }),
      }),
      images: new ImageStore({ ...common, root: join(config.stateDir, 'images'), registries: config.registries, run: launcher.run, log: log.child({ component: 'images' }) }),
      network: new BridgeNetwork({ stateDir: join(config.runDir, 'network'), run: launcher.run, logger: log.child({ component: 'network' }) }),
      state: new FileState(join(config.stateDir, 'state')),
      connect: (address) => connect(address, tls),
    }, stopping.signal)
  } catch (error) {
    const { message, details } = GantryError.from(error)
    log.fatal({ error: GantryError.from(error) }, 'agent failed')
    const remedies = details.flatMap(({ remedy }) => (remedy === '' ? [] : [`; ${remedy}`]))
    process.stderr.write(`gantry-agent: ${message}${remedies.join('')}\n`)
    process.exitCode = 1
  } finally {
    launcher.stop()
  }
}

async function readTls(files: TlsFiles): Promise<{ ca: string; cert: string; key: string; serverName?: string }> {
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readFile(file, 'utf8')))
  return { ca: ca!, cert: cert!, key: key!, ...(files.serverName === undefined ? {} : { serverName: files.serverName }) }
}

void main()
