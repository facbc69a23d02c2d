/** A connection to a cluster as the person who set it up. */
import { contextFilePath, readContexts, loadCredentials } from '../../proto/api/context.ts'
import { GantryError } from '../../proto/api/errors.ts'
import { connect, type Connection } from '../../proto/api/rpc.ts'

/** Connects with a context of the context file; NotFound if there is none of that name. */
export async function connectContext(name: string): Promise<Connection> {
  const file = contextFilePath(process.env)
  const context = (await readContexts(file)).contexts.find((candidate) => candidate.name === name)
  if (context === undefined) throw new GantryError('NotFound', `no context "${name}" in ${file}`)
  return connect(context.server[0]!, await loadCredentials(context, file))
}
