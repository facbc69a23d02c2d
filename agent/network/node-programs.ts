/** Programs run where the node's network is: in the agent's own namespace, or in one that it is told of. */
import type { Run } from '../launcher.ts'

/** Runs one there; `allow`: exit codes that are no failure (default 0). */
export type InNode = (program: string, args: readonly string[], stdin?: string, allow?: readonly number[]) => Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>

/** `netns`: path of the namespace, if it is not the agent's own. */
export function inNode(run: Run, netns: string | undefined): InNode {
  return (program, args, stdin, allow = [0]) => {
    const options = { allow, ...(stdin === undefined ? {} : { stdin }) }
    return netns === undefined ? run(program, args, options) : run('nsenter', [`--net=${netns}`, '--', program, ...args], options)
  }
}

/** What `ip -json` says, nothing if there is nothing to say. */
export function readJson<T>(text: string): T[] {
  return text.trim() === '' ? [] : (JSON.parse(text) as T[]).filter((item) => Object.keys(item as object).length > 0)
}
