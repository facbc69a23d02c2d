/** Text for other programs: whatever is put into it stays one word, or is refused. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { ip, nft, sh } from '../../../agent/host/program-text.ts'
import { GantryError } from '../../../proto/base/errors.ts'

/** What somebody would write to have a command of their own run, and what is nearly a word. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'ab01.:/-_ \t\n\r;{}()"\'#\\$`&|<>,@!*?[]~=%^+\0é') }),
  fc
    .tuple(
      fc.constantFrom('10.9.9.9', 'fd00::1', '10.0.0.0/8', 'eth0', ''),
      fc.constantFrom(
        '\nnetns add held',
        '; flush ruleset',
        ' }\nflush ruleset',
        ' dev lo',
        '#',
        '\\',
        '$(id)',
        '`id`',
        '"',
        "'",
        ', 10.0.0.1',
        '\u2028',
        ' . ',
        '\0',
      ),
    )
    .map((parts) => parts.join('')),
)

/** undefined if it is refused, which must be by a GantryError. */
function attempt(write: () => { readonly text: string }): string | undefined {
  try {
    return write().text
  } catch (thrown) {
    assert.ok(GantryError.is(thrown, 'InvalidArgument'), String(thrown))
    return undefined
  }
}

describe('text for programs', () => {
  it('has for ip(8) one line with the words that were meant, and no option among them', () => {
    fc.assert(
      fc.property(hostile, hostile, (address, device) => {
        const text = attempt(() => ip.lines(ip`addr add ${address} dev ${device}`))
        if (text === undefined) return
        assert.deepEqual(text.split('\n'), [`addr add ${address} dev ${device}`, ''])
        assert.deepEqual(text.trim().split(/\s+/), ['addr', 'add', address, 'dev', device])
        for (const word of [address, device]) assert.match(word, /^[^-\s"'#\\][^\s"'#\\]*$/)
      }),
      { numRuns: 2000 },
    )
  })

  it('has for nft(8) one statement with the elements that were meant', () => {
    fc.assert(
      fc.property(hostile, hostile, (key, value) => {
        const text = attempt(() => nft`add element inet gantry_test map { ${key} : ${value} }`)
        if (text === undefined) return
        assert.equal(text, `add element inet gantry_test map { ${key} : ${value} }`)
        for (const word of [key, value]) assert.match(word, /^[\w.:/-]+( \. [\w.:/-]+)*$/)
      }),
      { numRuns: 2000 },
    )
  })

  it('has for a shell one word, as which it comes out again', () => {
    fc.assert(
      fc.property(hostile, (word) => {
        const command = attempt(() => sh`printf %s ${word}`)
        if (command !== undefined) assert.equal(execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8' }), word)
      }),
      { numRuns: 300 },
    )
  })

  it('refuses what ends a word in any of these languages', () => {
    for (const character of ' \t\n\r\0;{}()"\'#\\$`&|<>,!*?[]~=\u2028\u00a0') {
      for (const [name, tag] of Object.entries({ ip, nft, sh }))
        assert.throws(
          () => tag`${`10.0.0.1${character}x`}` as unknown,
          { code: 'InvalidArgument' },
          `${name} takes ${JSON.stringify(character)}`,
        )
    }
    for (const [name, tag] of Object.entries({ ip, nft, sh }))
      for (const bad of ['', '-batch', '-1', Number.NaN, 1.5, -1, undefined, null, {}])
        assert.throws(
          () => tag`x ${bad as never}` as unknown,
          { code: 'InvalidArgument' },
          `${name} takes ${String(bad)}`,
        )
  })

  it('takes text of the same language as it is, and none of another', () => {
    assert.equal(
      nft`add rule ${nft`ip saddr { ${nft.list(['10.0.0.1', '10.0.0.2'])} }`} drop`.text,
      'add rule ip saddr { 10.0.0.1, 10.0.0.2 } drop',
    )
    assert.throws(() => nft`add rule ${sh`true; false` as never}`, { code: 'InvalidArgument' })
    assert.throws(() => nft`${{ text: 'flush ruleset', language: 'nft' } as never}`, { code: 'InvalidArgument' })
    assert.equal(ip.join(ip.lines(ip`link set lo up`), ip.lines()).text, 'link set lo up\n')
  })
})
