/**
 * Programs of the host and its machines, found where root has them: whoever became root by `su` or `sudo` may have a
 * PATH without /usr/sbin.
 */
import { run, type CommandOptions, type CommandResult } from '../../../../proto/base/command.ts'

const ROOT_PATHS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** PATH, and where root's programs are. */
export function searchPath(path = process.env.PATH ?? ''): string {
  return [...new Set([...path.split(':'), ...ROOT_PATHS])].filter((directory) => directory !== '').join(':')
}

/** An environment with `searchPath` as its PATH. */
export function withSearchPath(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return { ...env, PATH: searchPath(env.PATH) }
}

/** As `run`, with programs looked for in `searchPath`. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return run(program, args, { ...options, env: withSearchPath(options.env) })
}
