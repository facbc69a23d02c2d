import assert from 'node:assert/strict'
import { Readable, Writable } from 'node:stream'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { runExec } from '../../cli/terminal.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type { ExecInput, ExecOutput } from '../../proto/gen/types.ts'

const START = { namespace: 'default', pod: 'a', container: '', command: ['cat'], stdin: true, tty: false }
const PIECES = 500

describe('standard input of a command', () => {
  it('is read no faster than the command takes it, to its end', async () => {
    let produced = 0
    let taken = 0
    let most = 0
    const stdin = new Readable({
      highWaterMark: 1,
      read() {
        this.push(produced < PIECES ? Buffer.alloc(1) : null)
        if (produced < PIECES) produced++
      },
    })
    const cluster = {
      async *exec(inputs: AsyncIterable<Input<ExecInput>>): AsyncGenerator<ExecOutput> {
        for await (const { input } of inputs) {
          if (input?.case === 'stdinClosed') break
          if (input?.case !== 'stdin') continue
          taken++
          await new Promise((resolve) => setImmediate(resolve))
          most = Math.max(most, produced - taken)
        }
        yield { output: { case: 'exit', value: { code: 3, message: '' } } }
      },
    }
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() })
    const environment = { stdin, stdout: sink, stderr: sink } as Partial<Environment> as Environment
    assert.equal(await runExec(cluster as unknown as ClusterClient, environment, START), 3)
    assert.equal(taken, PIECES)
    assert.ok(most <= 8, `${most} pieces were under way`)
  })
})
