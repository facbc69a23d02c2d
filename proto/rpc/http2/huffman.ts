/**
 * The Huffman code of header fields (https://www.rfc-editor.org/rfc/rfc7541#appendix-B). It is canonical: the codes of
 * a length follow each other in the order of the characters, and those of the next length follow them.
 */

/** How many bits which characters have, and the mark of the end, 256, which does not stand in a text. */
const LENGTHS: readonly (readonly [bits: number, characters: string])[] = [
  [5, '48-50 97 99 101 105 111 115-116'],
  [6, '32 37 45-47 51-57 61 65 95 98 100 102-104 108-110 112 114 117'],
  [7, '58 66-87 89 106-107 113 118-122'],
  [8, '38 42 44 59 88 90'],
  [10, '33-34 40-41 63'],
  [11, '39 43 124'],
  [12, '35 62'],
  [13, '0 36 64 91 93 126'],
  [14, '94 125'],
  [15, '60 96 123'],
  [19, '92 195 208'],
  [20, '128 130-131 162 184 194 224 226'],
  [21, '153 161 167 172 176-177 179 209 216-217 227 229-230'],
  [22, '129 132-134 136 146 154 156 160 163-164 169-170 173 178 181 185-187 189-190 196 198 228 232-233'],
  [23, '1 135 137-141 143 147 149-152 155 157-158 165-166 168 174-175 180 182-183 188 191 197 231 239'],
  [24, '9 142 144-145 148 159 171 206 215 225 236-237'],
  [25, '199 207 234-235'],
  [26, '192-193 200-202 205 210 213 218-219 238 240 242-243 255'],
  [27, '203-204 211-212 214 221-223 241 244-248 250-254'],
  [28, '2-8 11-12 14-21 23-31 127 220 249'],
  [30, '10 13 22 256'],
]
const MOST_BITS = 30
const END = 256
/** Bits after the last character: fewer than a byte, all of them 1. */
const PADDING_LIMIT = 8

/** For each number of bits the first code that has so many, and the characters of that and the following codes. */
let codes: readonly { readonly first: number; readonly characters: readonly number[] }[] | undefined

function makeCodes(): { first: number; characters: number[] }[] {
  const byLength = new Map(LENGTHS.map(([bits, ranges]) => [bits, ranges.split(' ').flatMap(charactersOf)]))
  let first = 0
  return Array.from({ length: MOST_BITS + 1 }, (_, bits) => {
    const characters = byLength.get(bits) ?? []
    const codesHere = { first, characters }
    first = (first + characters.length) * 2
    return codesHere
  })
}

function charactersOf(range: string): number[] {
  const [from = 0, to = from] = range.split('-').map(Number)
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

/** The text, one character for each byte that was encoded. RangeError for bytes that are no such code. */
export function decodeHuffman(bytes: Uint8Array): string {
  codes ??= makeCodes()
  let text = ''
  let code = 0
  let bits = 0
  for (const byte of bytes) {
    for (let shift = 7; shift >= 0; shift--) {
      code = code * 2 + ((byte >> shift) & 1)
      bits++
      const { first, characters } = codes[bits]!
      const character = characters[code - first]
      if (character === undefined) {
        if (bits === MOST_BITS) throw new RangeError('a header field has a code of no character')
        continue
      }
      if (character === END) throw new RangeError('a header field has the mark of the end in it')
      text += String.fromCharCode(character)
      code = bits = 0
    }
  }
  if (bits >= PADDING_LIMIT || code !== 2 ** bits - 1) throw new RangeError('a header field ends within a character')
  return text
}
