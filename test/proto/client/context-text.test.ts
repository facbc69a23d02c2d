/** The quick reader of the context file says the same as YAML, or nothing. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parse } from 'yaml'
import { formatContexts } from '../../../proto/client/context-changes.ts'
import { parseContextText } from '../../../proto/client/context-text.ts'
import type { Context } from '../../../proto/client/context.ts'

const PEM = `-----BEGIN CERTIFICATE-----\n${'MIIB+/='.repeat(8)}\n-----END CERTIFICATE-----\n`

const words = fc.oneof(
  fc.constantFrom('default', '127.0.0.1:7443', '[::1]:7443', 'null', 'True', 'yes', '12', '0x1f', '1e3', '12:30', ''),
  fc.constantFrom('/home/me/a.key', '~', '- x', 'a: b', 'a #b', ' a', 'a ', '"a"', "it's", 'a\nb', 'a\n\n', PEM, '|'),
  fc.string({ maxLength: 12 }),
)
const context = fc.record(
  {
    name: words,
    server: fc.array(words, { maxLength: 3 }),
    kube: fc.array(words, { minLength: 1, maxLength: 2 }),
    ca: words,
    cert: words,
    key: words,
    serverName: words,
    namespace: words,
  },
  { requiredKeys: ['name', 'server'] },
)

describe('the text of the context file', () => {
  it('is read without YAML as it is written', async () => {
    const contexts: Context[] = [
      { name: 'home', server: ['127.0.0.1:7443'], ca: PEM, cert: PEM, key: PEM, namespace: 'default' },
      { name: 'rig-3', server: ['10.0.0.1:7443', 'c2.example.com:7443'], kube: ['10.0.0.1:6443'], ca: 'a.crt' },
      { name: 'six', server: ['[fd00::1]:7443'], cert: '/etc/gantry/me.crt', key: '../me.key' },
    ]
    for (const file of [{ contexts }, { contexts, currentContext: 'rig-3' }]) {
      const text = await formatContexts(file)
      assert.deepEqual(parseContextText(text), file)
      assert.deepEqual(parse(text), file)
    }
  })

  it('means what YAML says, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(context, { maxLength: 3 }),
        fc.option(words, { nil: undefined }),
        async (contexts, current) => {
          const text = await formatContexts({ contexts, currentContext: current })
          const read = parseContextText(text)
          if (read !== undefined) assert.deepEqual(read, parse(text))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('means what YAML says after somebody has edited it, or is left to YAML', async () => {
    const text = await formatContexts({
      contexts: [{ name: 'home', server: ['127.0.0.1:7443'], ca: PEM, namespace: 'default' }],
      currentContext: 'home',
    })
    const lines = text.split('\n')
    const edit = fc.tuple(
      fc.nat(lines.length - 1),
      fc.constantFrom('', ' ', '  ', '#', ' # x', '- ', '    ', 'a: b', '\t', '|', '>', '\r', '...', '---', '&a ', 'x'),
      fc.boolean(),
    )
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const edited = [...lines]
        for (const [at, what, before] of edits) edited[at] = before ? what + edited[at] : edited[at] + what
        const read = parseContextText(edited.join('\n'))
        if (read !== undefined) assert.deepEqual(read, parse(edited.join('\n')))
      }),
      { numRuns: 2_000 },
    )
  })

  for (const text of ['', 'contexts:\n', 'contexts: []\n', 'currentContext: a\ncontexts:\n  - name: a\n'])
    it(`leaves ${JSON.stringify(text)} to YAML`, () => assert.equal(parseContextText(text), undefined))
})
