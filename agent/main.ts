/** gantry-agent: builds the agent's parts for this machine and runs it until SIGTERM or SIGINT. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../proto/base/errors.ts'
import { configure } from '../proto/base/program.ts'
import { quantityValue } from '../proto/base/quantity.ts'
import { connect } from '../proto/rpc/rpc.ts'
import { clockFromEnvironment } from '../proto/base/clock.ts'
import { createLogger } from '../proto/base/logger.ts'
import { systemRandom } from '../proto/base/random.ts'
import { VERSION } from '../proto/base/version.ts'
import { runImagesCommand } from './admin/images-command.ts'
import { runAgent } from './agent.ts'
import { AGENT_SETTINGS, type TlsFiles } from './config.ts'
import { ImageStore } from './images/image-store.ts'
import type { Base } from './images/snapshots/overlay.ts'
import { Launcher } from './host/launcher.ts'
import { SystemCalls } from './host/system-calls.ts'
import { makeNetworking } from './networking.ts'
import { AGENT } from './options.ts'
import { OciDriver } from './runtime/oci/driver.ts'
import { livenessWith } from './session/session.ts'
import { FileState } from './state/file.ts'

/**
 * Where every container has something mounted: of what an image has not, the runtime would make a copy on the disk for
 * each.
 */
const MOUNT_POINTS: Base = {
  directories: ['/dev', '/etc', '/proc', '/sys'],
  files: ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'],
}

/** Exit codes: 0 stopped as asked, 1 failed, 2 command line or settings refused. */
async function main(): Promise<void> {
  const [word, ...words] = process.argv.slice(2)
  if (word === 'images') return askForImages(words)
  const start = await configure(AGENT, AGENT_SETTINGS, process.argv.slice(2), process)
  if ('exitCode' in start) return void (process.exitCode = start.exitCode)
  const config = start.settings
  const log = createLogger('gantry-agent')
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => stopping.abort(new GantryError('Cancelled', `${signal} received`)))
  const clock = clockFromEnvironment(process.env)
  const common = { clock, random: systemRandom }
  const launcher = new Launcher(join(config.runDir, 'launch'), clock)
  const calls = new SystemCalls(clock)
  let failed = false
  try {
    const tls = config.tls === undefined ? undefined : await readTls(config.tls)
    await runAgent(
      {
        ...common,
        log,
        config,
        version: VERSION,
        runtime: new OciDriver({
          stateDir: join(config.runDir, 'runtime'),
          runDir: join(config.runDir, 'oci'),
          programDir: join(config.stateDir, 'runtime'),
          cgroupParent: config.cgroupParent,
          ...(config.runtime === 'auto' ? {} : { runtime: config.runtime }),
          // As much as all files of a log together are to hold.
          logSizeMax: quantityValue(config.logs.maxSize) * config.logs.maxFiles,
          launcher,
          calls,
          clock,
          logger: log.child({ component: 'runtime' }),
        }),
        images: new ImageStore({
          ...common,
          root: join(config.stateDir, 'images'),
          registries: config.registries,
          calls,
          base: MOUNT_POINTS,
          log: log.child({ component: 'images' }),
          limits: { bytes: quantityValue(config.images.maxUnpackedSize), files: config.images.maxFiles },
        }),
        networking: (node) => makeNetworking({ config, run: launcher.run, calls, clock, log }, node),
        run: launcher.run,
        state: new FileState(join(config.stateDir, 'state')),
        connect: (address) => connect(address, tls, livenessWith(config.controllers.length)),
      },
      stopping.signal,
    )
  } catch (error) {
    const { message, details } = GantryError.from(error)
    log.fatal({ error: GantryError.from(error) }, 'agent failed')
    const remedies = details.flatMap(({ remedy }) => (remedy === '' ? [] : [`; ${remedy}`]))
    process.stderr.write(`gantry-agent: ${message}${remedies.join('')}\n`)
    failed = true
  } finally {
    launcher.stop()
    calls.stop()
  }
  // What could not be stopped in order would keep the process, and nobody would begin another: any end is one that the
  // next beginning puts right.
  if (failed) process.exit(1)
}

async function askForImages(words: readonly string[]): Promise<void> {
  try {
    await runImagesCommand(words, process)
  } catch (thrown) {
    const { code, message, details } = GantryError.from(thrown)
    process.stderr.write(
      `gantry-agent: ${message}${details.flatMap(({ remedy }) => (remedy === '' ? [] : [`; ${remedy}`])).join('')}\n`,
    )
    process.exitCode = code === 'InvalidArgument' ? 2 : 1
  }
}

async function readTls(files: TlsFiles): Promise<{ ca: string; cert: string; key: string; serverName?: string }> {
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readFile(file, 'utf8')))
  return {
    ca: ca!,
    cert: cert!,
    key: key!,
    ...(files.serverName === undefined ? {} : { serverName: files.serverName }),
  }
}

void main()
