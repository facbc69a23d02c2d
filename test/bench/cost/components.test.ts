import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ComponentTable } from './components.ts'
import type { ProfileNode } from './profiler.ts'

/** Lines 0 to 5. */
const BUNDLE = `#!/usr/bin/env node
// proto/base/clone.ts
function clone() {}
// controller/store/etcd.ts
function write() {}
function read() {}
`

describe('components of a profile', () => {
  let folder: string
  let bundle: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-components-'))
    bundle = join(folder, 'bundle.cjs')
    writeFileSync(bundle, BUNDLE)
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  /** A call with as many samples of its own as its number, so that none is mistaken for another. */
  const call = (
    id: number,
    functionName: string,
    url: string,
    lineNumber: number,
    children: number[],
  ): ProfileNode => ({ id, callFrame: { functionName, url, lineNumber }, hitCount: id, children })

  it('are those of the file that a function is in, or of whoever called it', () => {
    const nodes = [
      { ...call(1, '(root)', '', -1, [2, 4, 8, 16, 32]), hitCount: 0 },
      call(2, '(idle)', '', -1, []),
      call(4, '(garbage collector)', '', -1, []),
      // Called by nobody known: what is shared counts for nobody, a library of connections for those of clients.
      call(8, 'clone', `file://${bundle}`, 2, []),
      call(16, 'onStreamRead', 'node:internal/stream_base_commons', 10, [64, 128]),
      call(32, 'read', bundle, 5, [256, 512]),
      call(64, 'parserOnHeadersComplete', 'node:_http_common', 70, []),
      call(128, 'encode', 'node:internal/http2/core', 1, []),
      call(256, 'clone', bundle, 2, []),
      call(512, 'writev', '', -1, []),
    ]
    assert.deepEqual(Object.fromEntries(new ComponentTable(bundle).samples({ nodes })), {
      'garbage collection': 4,
      'native and rest': 8,
      'HTTP and TLS': 16 + 64,
      'etcd client': 128 + 32 + 256 + 512,
    })
  })

  it('are not guessed for a bundle that does not name its files', () => {
    writeFileSync(bundle, 'function read() {}\n')
    assert.throws(() => new ComponentTable(bundle), /does not say which files/)
  })
})
