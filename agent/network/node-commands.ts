/** Programs run where the node's network is: in the agent's own namespace, or in one that it is told of. */
import type { CommandResult } from '../../proto/base/command.ts'
import type { Run } from '../host/launcher.ts'
import type { IpText, NftText, ShellText } from '../host/program-text.ts'

export interface ProgramOptions {
  /** Exit codes that are no failure (default 0). */
  readonly allow?: readonly number[]
  /** Milliseconds. */
  readonly timeout?: number
}

/** Runs programs there. Those that read commands are given checked text only. */
export interface NodeCommands {
  (program: string, args: readonly string[], allow?: readonly number[]): Promise<CommandResult>
  /** `flags`: of ip(8), such as "-force". */
  ipBatch(text: IpText, flags?: readonly string[], allow?: readonly number[]): Promise<CommandResult>
  bridgeBatch(text: IpText): Promise<CommandResult>
  /** Everything or nothing: one transaction. */
  nft(text: NftText, options?: ProgramOptions): Promise<CommandResult>
  sh(text: ShellText): Promise<CommandResult>
}

interface Input {
  readonly stdin?: string
}

/** `netns`: path of the namespace, if it is not the agent's own. */
export function nodeCommands(run: Run, netns: string | undefined): NodeCommands {
  type Start = (program: string, args: readonly string[], options: ProgramOptions & Input) => Promise<CommandResult>
  const start: Start = (program, args, options) =>
    netns === undefined
      ? run(program, args, options)
      : run('nsenter', [`--net=${netns}`, '--', program, ...args], options)
  const plain = (program: string, args: readonly string[], allow: readonly number[] = [0]) =>
    start(program, args, { allow })
  return Object.assign(plain, {
    ipBatch: ({ text }: IpText, flags: readonly string[] = [], allow: readonly number[] = [0]) =>
      start('ip', [...flags, '-batch', '-'], { allow, stdin: text }),
    bridgeBatch: ({ text }: IpText) => start('bridge', ['-batch', '-'], { stdin: text }),
    nft: ({ text }: NftText, options: ProgramOptions = {}) => start('nft', ['-f', '-'], { ...options, stdin: text }),
    sh: ({ text }: ShellText) => start('sh', ['-c', text], {}),
  })
}

/** What `ip -json` says, nothing if there is nothing to say. */
export function readJson<T>(text: string): T[] {
  return text.trim() === '' ? [] : (JSON.parse(text) as T[]).filter((item) => Object.keys(item as object).length > 0)
}
