/** `gantry rig up`: makes a rig, with a demo on it if that is wanted. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { defineCommand } from '../../../proto/terminal/command.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import type { Environment, Sink } from '../../../proto/terminal/environment.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { quantityBytes, quantityMillis } from '../../../proto/base/quantity.ts'
import { elapsed } from '../../../proto/base/clock.ts'
import type { DriverName } from '../contract.ts'
import { DEFAULT_RIG } from '../choice.ts'
import { pushDemoImages } from '../demo.ts'
import { driverNames } from '../drivers/index.ts'
import { isInForce } from '../faults/fault-engine.ts'
import { bundlePath, installationRoot } from '../installation.ts'
import { nextSteps } from '../next-steps.ts'
import { DEFAULT_NODES, type RigOptions } from '../options.ts'
import { Progress } from '../progress.ts'
import { removeRig } from '../removal.ts'
import { Rig } from '../rig.ts'
import { readRig, type RigRecord, type RigSettings } from '../rig-record.ts'
import { rigState } from '../summary.ts'
import { UsageError } from '../../../proto/client/failures.ts'

export default defineCommand({
  usage: '[NAME] [flags]',
  summary: 'make a rig: a cluster of several machines on this host',
  description:
    'Makes a rig: controllers, nodes and a registry, each a machine with its own network, processes, host name, address and disk, joined by a network of their own. ' +
    'Returns when every node is Ready. The rig gets a context of its name, which becomes the current one. Interrupted, it leaves nothing.',
  examples: [
    'gantry rig up',
    'gantry rig up lab --nodes 5 --controllers 3',
    'gantry rig up --ephemeral --nodes 1',
    'gantry rig up small --memory 512Mi --cpus 0.5',
  ],
  flags: {
    nodes: { type: 'integer', value: 'number', default: DEFAULT_NODES, help: 'how many nodes' },
    controllers: {
      type: 'integer',
      value: 'number',
      default: 1,
      help: '1, 3 or 5; several share one etcd and one NATS of as many members',
    },
    driver: {
      type: 'text',
      value: 'name',
      default: 'namespaces',
      choices: driverNames,
      help: 'what machines are made of',
    },
    etcd: {
      type: 'list',
      commas: true,
      value: 'url',
      help: 'members of an etcd that is there already, as the machines reach them',
    },
    nats: { type: 'list', commas: true, value: 'url', help: 'likewise, NATS servers' },
    disk: {
      type: 'text',
      value: 'size',
      help: "size of each machine's disk at most (default 8Gi; nothing is set aside)",
    },
    memory: {
      type: 'text',
      value: 'size',
      help: "memory that everything on a machine may use together (default: the host's)",
    },
    cpus: { type: 'text', value: 'number', help: 'processors, likewise; "0.5" is half of one' },
    'controller-settings': {
      type: 'text',
      value: 'file',
      help: 'YAML with further settings of the controllers, e.g. podCidr',
    },
    'agent-settings': { type: 'text', value: 'file', help: 'the same of the agents, e.g. network' },
    ephemeral: { type: 'boolean', help: 'stay, and end the rig when this process ends, however that happens' },
    demo: { type: 'boolean', help: 'run a first application on it' },
    again: { type: 'boolean', help: 'with --demo: apply it to a rig that is running already, too' },
    context: {
      type: 'boolean',
      default: true,
      help: "put the rig's context into the context file and make it the current one; --no-context leaves the file alone",
    },
    timeout: { type: 'duration', default: 60_000, value: 'time', help: 'give up if it is not ready after this time' },
  },
  completes: 'none',
  async run({ flags, given, args, environment, target }) {
    if (args.length > 1) throw new UsageError(`"${args[1]}" is not expected here`, 'a rig has one name')
    const name = args[0] ?? (environment.env.GANTRY_RIG || DEFAULT_RIG)
    const { stdout, stderr, signal } = environment
    const found = await present(name, stderr)
    if (found !== undefined) {
      const nodes = found.machines.filter(({ spec }) => spec.role === 'node').length
      stdout.write(`The rig "${name}" is already running, with ${nodes} node${nodes === 1 ? '' : 's'}.\n`)
      const state = await rigState(found)
      if (state !== 'running') stdout.write(`It is ${state}: \`gantry rig status ${name}\` tells which machines.\n`)
      if (given.has('nodes') && flags.nodes !== nodes)
        stdout.write(
          `For another number of nodes: \`gantry rig node add\` or \`remove\`, or \`gantry rig down ${name}\` first.\n`,
        )
      if (flags.again && flags.demo) await fillAndStartDemo(name, environment)
      return EXIT.ok
    }
    const progress = new Progress(`Rig "${name}"`, environment)
    const settings = {
      ...settingsFrom('controller', flags['controller-settings']),
      ...settingsFrom('agent', flags['agent-settings']),
    }
    const options: RigOptions = {
      name,
      nodes: flags.nodes,
      controllers: flags.controllers,
      driver: flags.driver as DriverName,
      ephemeral: flags.ephemeral,
      timeout: flags.timeout,
      signal,
      context: flags.context ? 'current' : false,
      contextFile: target.file,
      ...(flags.etcd.length === 0 ? {} : { etcd: flags.etcd }),
      ...(flags.nats.length === 0 ? {} : { nats: flags.nats }),
      ...(Object.keys(settings).length === 0 ? {} : { settings }),
      ...(flags.disk === undefined ? {} : { diskBytes: amount('disk', flags.disk, quantityBytes) }),
      ...(flags.memory === undefined ? {} : { memoryBytes: amount('memory', flags.memory, quantityBytes) }),
      ...(flags.cpus === undefined ? {} : { cpus: amount('cpus', flags.cpus, quantityMillis) / 1000 }),
      progress: (text) => progress.show(text),
      warn: (text) => {
        progress.end()
        stderr.write(`warning: ${text}\n`)
      },
    }
    const rig = await make(options, progress, environment)
    try {
      stdout.write(`${introduction(rig)}\n`)
      if (flags.demo) await startDemo(rig, environment)
      stdout.write(
        `\nNext:\n${nextSteps({ rig: rig.name, nodes: rig.nodes.map((node) => node.name), contextFile: flags.context ? undefined : rig.context().file, kubeconfigFile: rig.kubeconfigFile, demo: flags.demo }, environment)}\n`,
      )
      if (flags.ephemeral) await ended(environment)
    } finally {
      if (flags.ephemeral || signal.aborted) {
        await rig.down()
        stderr.write(`The rig "${name}" is gone.\n`)
      } else rig.close()
    }
    return EXIT.ok
  },
})

/**
 * The rig of this name if it is up. One with every machine off and no fault that keeps it so, as when the host was
 * started again, is removed. What else is in the way of making one is for that to say.
 */
async function present(name: string, stderr: Sink): Promise<RigRecord | undefined> {
  const rig = await readRig(name)
  if (rig?.phase !== 'ready') return undefined
  if ((await rigState(rig)) !== 'off' || rig.faults.some(isInForce)) return rig
  await removeRig(name)
  stderr.write(`The rig "${name}" had every machine off; it is made anew.\n`)
  return undefined
}

async function make(options: RigOptions, progress: Progress, { signal, stderr }: Environment): Promise<Rig> {
  try {
    return await Rig.up(options)
  } catch (thrown) {
    progress.end()
    if (signal.aborted)
      stderr.write(
        GantryError.is(thrown, 'Cancelled') && thrown.details.length === 0
          ? 'interrupted; what was made is removed\n'
          : `interrupted: ${(thrown as Error).message}\n`,
      )
    throw thrown
  } finally {
    progress.end()
  }
}

function amount(flag: string, text: string, read: (text: string) => number): number {
  try {
    return read(text)
  } catch (thrown) {
    throw new UsageError(`--${flag}: ${(thrown as Error).message}`, 'such as 512Mi, 8Gi, 0.5')
  }
}

/** `{ agent: … }` of a file for `--agent-settings`. */
function settingsFrom(program: keyof RigSettings, file: string | undefined): RigSettings {
  if (file === undefined) return {}
  const refuse = (why: string): UsageError =>
    new UsageError(
      `--${program}-settings: ${why}`,
      "a YAML file with settings as they stand in the program's own, such as network: { overlay: vxlan }",
    )
  let settings: unknown
  try {
    settings = parse(readFileSync(file, 'utf8'))
  } catch (thrown) {
    throw refuse(`${file}: ${(thrown as Error).message}`)
  }
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings))
    throw refuse(`${file} has no settings by name`)
  return { [program]: settings }
}

function introduction(rig: Rig): string {
  const count = (role: string, word: string): string => {
    const number = rig.machines.filter((machine) => machine.role === role).length
    return `${number} ${word}${number === 1 ? '' : 's'}`
  }
  return `Rig "${rig.name}": ${count('controller', 'controller')}, ${count('node', 'node')}, registry ${rig.registry}`
}

async function startDemo(rig: Rig, environment: Environment): Promise<void> {
  const { file, name } = rig.context()
  const gantry = async (...args: string[]): Promise<void> => {
    const code = await environment.runOnTerminal(process.execPath, [
      bundlePath('gantry.cjs'),
      '--config',
      file,
      '--context',
      name,
      ...args,
    ])
    environment.signal.throwIfAborted()
    if (code !== 0) throw new GantryError('Internal', `gantry ${args.join(' ')} ended with exit code ${code}`)
  }
  environment.stdout.write('\n')
  await gantry('apply', '-f', join(installationRoot(), 'deploy/examples/hello'), '--wait')
  environment.stdout.write('\n')
  await gantry(
    'get',
    'pods',
    '-o',
    'custom-columns=NAME:.metadata.name,STATUS:.status.phase,IP:.status.podIP,NODE:.spec.nodeName',
  )
}

async function fillAndStartDemo(name: string, environment: Environment): Promise<void> {
  const rig = await Rig.open(name)
  try {
    await pushDemoImages(rig.registry, environment.signal) // it may have been made without
    await startDemo(rig, environment)
  } finally {
    rig.close()
  }
}

const DAY = 86_400_000

/** Resolves when the person interrupts. What waits for a signal alone would not keep the process. */
async function ended({ clock, signal }: Environment): Promise<void> {
  while (await elapsed(clock, DAY, signal));
}
