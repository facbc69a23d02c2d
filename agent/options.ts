/** The agent's command line: each flag overrides the configuration file. */
import { Command, Option } from 'commander'
import type { AgentConfig } from './config.ts'

export interface AgentOptions {
  readonly config: string | undefined
  readonly overrides: Partial<AgentConfig>
}

interface Flags {
  config?: string
  name?: string
  address?: string
  controller?: string[]
  stateDir?: string
  runDir?: string
  cgroupParent?: string
  runtime?: AgentConfig['runtime']
}

/** Prints help, version and usage errors itself and ends the process then, as commander does. */
export function parseOptions(argv: readonly string[], version: string): AgentOptions {
  const command = new Command('gantry-agent')
    .description('Runs the pods that the cluster gives to this machine.')
    .version(version)
    .option('--config <file>', 'configuration, YAML or JSON')
    .option('--name <name>', "the node's name (default: the machine's host name)")
    .option('--address <address>', "the node's address in the cluster (default: that of the default route's interface)")
    .option('--controller <host:port...>', 'where the controllers are')
    .option('--state-dir <dir>', 'what must outlive the agent (default: /var/lib/gantry/agent)')
    .option('--run-dir <dir>', 'what may be lost at a reboot (default: /run/gantry/agent)')
    .option('--cgroup-parent <path>', "where pods' control groups go (default: /gantry)")
    .addOption(new Option('--runtime <name>', 'OCI runtime (default: auto, which is crun if it works here, else runc)').choices(['auto', 'crun', 'runc']))
    .allowExcessArguments(false)
    .parse(['node', 'gantry-agent', ...argv])
  const { config, controller, ...rest } = command.opts<Flags>()
  return { config, overrides: { ...rest, ...(controller === undefined ? {} : { controllers: controller }) } }
}
