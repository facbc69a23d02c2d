import assert from 'node:assert/strict'
import { HtmlLinks, prefixedLink } from '../../../proto/base/html-links.ts'

async function rewritten(...chunks: readonly string[]): Promise<string> {
  const links = new HtmlLinks('/p', 'host:1')
  for (const chunk of chunks) links.write(Buffer.from(chunk))
  links.end()
  const pieces: Buffer[] = []
  for await (const piece of links) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}

describe('links of HTML seen through a proxy', () => {
  it('lead below the prefix where they led to the root', () => {
    for (const [link, expected] of [
      ['/', '/p/'],
      ['/a?b#c', '/p/a?b#c'],
      ['http://host:1/a', '/p/a'],
      ['//host:1/a', '/p/a'],
      ['https://other/a', 'https://other/a'],
      ['a/b', 'a/b'],
      ['#x', '#x'],
      ['mailto:x', 'mailto:x'],
      ['/p/a', '/p/a'],
      ['/pa', '/p/pa'],
      ['', ''],
    ] as const)
      assert.equal(prefixedLink(link, '/p', 'host:1'), expected, link)
  })

  it('are those of attributes of elements, whatever their quotes, and cut wherever the page is', async () => {
    const page =
      '<!doctype html><A HREF = "/a" title=\'>\'>/text</A><img src=/i><form action=\'/f\'><p href="/no"> 1 < 2 <a data-href="/no" href="/é">ü'
    const expected =
      '<!doctype html><A HREF = "/p/a" title=\'>\'>/text</A><img src=/p/i><form action=\'/p/f\'><p href="/no"> 1 < 2 <a data-href="/no" href="/p/é">ü'
    assert.equal(await rewritten(page), expected)
    const bytes = Buffer.from(page)
    for (let cut = 1; cut < bytes.length; cut++) {
      const links = new HtmlLinks('/p', 'host:1')
      links.write(bytes.subarray(0, cut))
      links.end(bytes.subarray(cut))
      const pieces: Buffer[] = []
      for await (const piece of links) pieces.push(piece as Buffer)
      assert.equal(Buffer.concat(pieces).toString(), expected, `cut at ${cut}`)
    }
  })

  it('cost little, whatever the page is', async () => {
    const hostile = [
      '<a ',
      '<a "',
      '<a href="',
      '<',
      '<a href',
      `<a ${' '.repeat(1_000)}`,
      '<a =',
      `<a ${'x'.repeat(10_000)}>`,
    ]
    for (const piece of hostile) {
      const page = piece.repeat(Math.floor(500_000 / piece.length))
      const began = performance.now()
      assert.equal(await rewritten(page), page, piece.slice(0, 20))
      assert.ok(performance.now() - began < 5_000, piece.slice(0, 20))
    }
  })
})
