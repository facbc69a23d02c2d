import assert from 'node:assert/strict'
import { decode, encode, RECURSION_DESIRED } from 'dns-packet'
import fc from 'fast-check'
import {
  isBelow,
  MessageReader,
  readQuestion,
  refusal,
  withLength,
} from '../../../../../deploy/rig/faults/program/dns-question.ts'

const ask = (name: string): Buffer =>
  encode({ type: 'query', id: 7, flags: RECURSION_DESIRED, questions: [{ type: 'A', class: 'IN', name }] })

describe('a question in DNS', () => {
  it('is below a suffix by whole labels, in any case', () => {
    const is = (name: string, suffix: string): boolean => isBelow(readQuestion(ask(name))!, suffix)
    assert(is('example.com', 'example.com'))
    assert(is('a.B.eXample.com', '.Example.COM.'))
    assert(is('anything.test', '.'))
    assert(!is('anexample.com', 'example.com'))
    assert(!is('com', 'example.com'))
  })

  it('is none where there is no whole query', () => {
    const query = ask('a.example.com')
    assert.equal(readQuestion(query.subarray(0, 11)), undefined)
    assert.equal(readQuestion(query.subarray(0, 20)), undefined)
    assert.equal(readQuestion(refusal(readQuestion(query)!, 'servfail')), undefined)
    const two = encode({
      type: 'query',
      questions: [
        { type: 'A', name: 'a' },
        { type: 'A', name: 'b' },
      ],
    })
    assert.equal(readQuestion(two), undefined)
    // A name that points at itself.
    assert.equal(readQuestion(Buffer.from('000701000001000000000000c00c00010001', 'hex')), undefined)
  })

  it('never fails for any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void readQuestion(Buffer.from(bytes))))
  })

  it('is refused with its id, its question and the code', () => {
    const query = readQuestion(ask('a.example.com'))!
    for (const [code, name] of [
      ['servfail', 'SERVFAIL'],
      ['nxdomain', 'NXDOMAIN'],
    ] as const) {
      const answer = decode(refusal(query, code)) as ReturnType<typeof decode> & { rcode: string }
      assert.deepEqual(
        [answer.id, answer.type, answer.rcode, answer.questions!.map((question) => question.name), answer.answers],
        [7, 'response', name, ['a.example.com'], []],
      )
      assert.equal(answer.flags! & RECURSION_DESIRED, RECURSION_DESIRED)
    }
  })
})

describe('MessageReader', () => {
  it('finds the messages in whatever pieces they come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 50 }),
        (messages, size) => {
          const stream = Buffer.concat(messages.map((message) => withLength(Buffer.from(message))))
          const reader = new MessageReader()
          const read: Buffer[] = []
          for (let start = 0; start < stream.length; start += size)
            read.push(...reader.read(stream.subarray(start, start + size)))
          assert.deepEqual(
            read.map((message) => message.toString('hex')),
            messages.map((message) => Buffer.from(message).toString('hex')),
          )
        },
      ),
    )
  })
})
