import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError } from '../../../../proto/base/errors.ts'
import { formatDuration } from '../../../../proto/base/duration.ts'
import { defineFault, type Parameter } from '../../../../deploy/rig/faults/contract.ts'
import { faultTypes } from '../../../../deploy/rig/faults/index.ts'
import {
  checkValues,
  operandNames,
  placeOperands,
  type Named,
  type Source,
} from '../../../../deploy/rig/faults/values.ts'

const machines: Named[] = [
  { name: 'controller-1', role: 'controller' },
  { name: 'controller-2', role: 'controller' },
  { name: 'registry', role: 'registry' },
  { name: 'n1', role: 'node' },
  { name: 'n2', role: 'node' },
  { name: 'n3', role: 'node' },
]

function typeWith(parameter: Parameter) {
  return defineFault({
    kind: 'test',
    says: '',
    parameters: { value: parameter, other: { type: 'boolean', says: 'another' } },
    examples: [],
    describe: () => '',
    begin: async () => ({ undo: undefined }),
    end: async () => undefined,
  })
}

function read(parameter: Omit<Parameter, 'says'>, value: unknown, source: Source = 'text'): unknown {
  return checkValues(typeWith({ says: 'a value', ...parameter }), { value }, machines, source).value
}

function refusal(parameter: Omit<Parameter, 'says'>, value: unknown, source: Source = 'text'): string {
  try {
    read(parameter, value, source)
  } catch (error) {
    assert.ok(GantryError.is(error, 'InvalidArgument'))
    const { field, message, remedy } = error.details[0]!
    assert.equal(field, 'value')
    return remedy === '' ? message : `${message} | ${remedy}`
  }
  return assert.fail('it was taken')
}

describe('values of faults', () => {
  for (const [type, given, expected] of [
    ['machine', 'n2', 'n2'],
    ['machines', 'n2,n1', ['n2', 'n1']],
    ['machines', ['n1', 'n2', 'n1'], ['n1', 'n2']],
    ['machines', 'nodes', ['n1', 'n2', 'n3']],
    ['machines', ['controllers', 'n1'], ['controller-1', 'controller-2', 'n1']],
    ['machines', 'all', machines.map(({ name }) => name)],
    ['target', 'n2', 'n2'],
    ['target', 'n2/agent', 'n2/agent'],
    ['target', 'controller-1/etcd', 'controller-1/etcd'],
    ['target', 'n1/shim:web-7d4c', 'n1/shim:web-7d4c'],
    ['duration', '250ms', 250],
    ['duration', '1m30s', 90_000],
    ['duration', '0', 0],
    ['duration', 0, 0],
    ['rate', '1Mi', 1_048_576],
    ['rate', '500k/s', 500_000],
    ['size', '64Mi', 67_108_864],
    ['size', 0, 0],
    ['share', '5%', 0.05],
    ['share', '0.05', 0.05],
    ['share', 1, 1],
    ['share', '100 %', 1],
    ['count', '7', 7],
    ['boolean', 'false', false],
    ['boolean', true, true],
  ] as const) {
    it(`reads ${JSON.stringify(given)} as ${type}`, () => assert.deepEqual(read({ type }, given), expected))
  }

  it('reads a number in TypeScript as milliseconds', () => assert.equal(read({ type: 'duration' }, 250, 'typed'), 250))
  it('reads "host" where it may be named', () =>
    assert.deepEqual(read({ type: 'machines', host: true }, 'n1,host'), ['n1', 'host']))
  it('reads a negative length where it may be', () =>
    assert.equal(read({ type: 'duration', signed: true }, '-1h'), -3_600_000))

  for (const [parameter, given, expected] of [
    [{ type: 'machine' }, 'n4', /^value: the rig has no machine "n4"; did you mean "n1"\? \| it has controller-1, /],
    [{ type: 'machines' }, 'node', /did you mean "nodes"\?/],
    [{ type: 'machines' }, 'host', /^value: the rig has no machine "host"/],
    [
      { type: 'machines' },
      ' , ',
      /^value: no machine is named \| one or several of controller-1, .*nodes, controllers, all$/,
    ],
    [{ type: 'machines' }, [{}], /^value: \{\} is not a name/],
    [
      { type: 'target' },
      'n1/agnet',
      /^value: n1 has no program "agnet"; did you mean "agent"\? \| it has n1\/agent, n1\/shim:POD$/,
    ],
    [{ type: 'target' }, 'n1/etcd', /^value: n1 has no program "etcd"/],
    [{ type: 'target' }, 'n1/', /has no program ""/],
    [{ type: 'target' }, 'n1/shim:', /has no program "shim:"/],
    [{ type: 'target' }, 'x/agent', /the rig has no machine "x"/],
    [{ type: 'duration' }, '10', /^value: "10" has no unit \| write 10ms or 10s$/],
    [{ type: 'duration' }, 10, /^value: 10 has no unit/],
    [{ type: 'duration' }, 'soon', /"soon" is not a length of time/],
    [{ type: 'duration' }, '-1s', /"-1s" is negative/],
    [{ type: 'duration' }, true, /true is not a name/],
    [{ type: 'rate' }, 'fast', /"fast" is not a rate in bytes a second, such as 1Mi/],
    [{ type: 'rate' }, '0', /0 is too little for a rate/],
    [{ type: 'size' }, '-1Mi', /too little for a size/],
    [{ type: 'share' }, '5', /^value: "5" is not a share \| write 5%, or a number from 0 to 1$/],
    [{ type: 'share' }, '101%', /^value: "101%" is not a share \| write a number from 0 to 1/],
    [{ type: 'count' }, '1.5', /"1.5" is not a whole number/],
    [{ type: 'count' }, -1, /-1 is not a whole number/],
    [{ type: 'boolean' }, 'yes', /"yes" is neither true nor false/],
    [
      { type: 'choice', choices: ['tcp', 'udp'] },
      'tpc',
      /^value: "tpc" is not among the choices; did you mean "tcp"\? \| it is one of tcp, udp$/,
    ],
  ] as const) {
    it(`refuses ${JSON.stringify(given)} as ${parameter.type}`, () => assert.match(refusal(parameter, given), expected))
  }

  it('tells everything that is wrong at once, each with its parameter', () => {
    const type = typeWith({ type: 'share', says: 'how many', required: true })
    assert.throws(
      () => checkValues(type, { othre: true, other: 'x' }, machines),
      (error) => {
        assert.ok(GantryError.is(error, 'InvalidArgument'))
        assert.deepEqual(
          error.details.map(({ field, message, remedy }) => [field, message, remedy]),
          [
            ['othre', 'test has no "othre"; did you mean "other"?', 'it has value, other'],
            ['value', 'test needs "value": how many', 'a share, such as 5% or 0.05'],
            ['other', 'other: "x" is neither true nor false', ''],
          ],
        )
        return true
      },
    )
  })

  it('does not take what every object has for a parameter', () =>
    assert.throws(
      () => checkValues(typeWith({ type: 'boolean', says: '' }), { toString: true }, machines),
      /test has no "toString"/,
    ))

  it('places operands, and refuses one too many', () => {
    assert.deepEqual(placeOperands(faultTypes.partition!, ['n1', 'n2']), { from: 'n1', to: 'n2' })
    assert.throws(
      () => placeOperands(faultTypes.kill!, ['n1', 'n2']),
      (error) => GantryError.is(error, 'InvalidArgument') && error.details[0]!.remedy === 'it takes target',
    )
  })

  it('what was read is read again as it is', () => {
    const names = fc.subarray(
      machines.map(({ name }) => name),
      { minLength: 1 },
    )
    const written: fc.Arbitrary<readonly [Omit<Parameter, 'says'>, unknown]> = fc.oneof(
      names.map((some) => [{ type: 'machines' }, some.join(',')] as const),
      fc.integer({ min: 0, max: 1e9 }).map((millis) => [{ type: 'duration' }, formatDuration(millis)] as const),
      fc.double({ min: 0, max: 1, noNaN: true }).map((share) => [{ type: 'share' }, share] as const),
      fc.integer({ min: 1, max: 2 ** 50 }).map((rate) => [{ type: 'rate' }, String(rate)] as const),
      fc.nat().map((count) => [{ type: 'count' }, String(count)] as const),
    )
    fc.assert(
      fc.property(written, ([parameter, given]) => {
        const once = read(parameter, given)
        assert.deepEqual(read(parameter, JSON.parse(JSON.stringify(once)), 'typed'), once)
      }),
    )
  })

  it('whatever is given is read or refused with its parameter, never anything else', () => {
    const types = fc.constantFrom(
      'machine',
      'machines',
      'target',
      'duration',
      'rate',
      'size',
      'share',
      'count',
      'boolean',
      'choice' as const,
    )
    fc.assert(
      fc.property(
        types,
        fc.oneof(fc.string(), fc.jsonValue(), fc.double()),
        fc.constantFrom<Source>('text', 'typed'),
        (type, given, source) => {
          try {
            const value = read({ type, choices: ['tcp'] }, given, source)
            assert.deepEqual(JSON.parse(JSON.stringify(value ?? null)), value ?? null)
          } catch (error) {
            assert.ok(
              GantryError.is(error, 'InvalidArgument') &&
                error.details.length === 1 &&
                error.details[0]!.field === 'value',
              String(error),
            )
          }
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

describe('fault types', () => {
  for (const [kind, type] of Object.entries(faultTypes)) {
    it(`${kind}: its operands stand in order, and it has words`, () => {
      assert.equal(type.kind, kind)
      assert.ok(type.says !== '' && type.examples.length > 0)
      const places = operandNames(type.parameters).map((name) => type.parameters[name]!.operand)
      assert.deepEqual(
        places,
        places.map((_, place) => place),
      )
      for (const example of type.examples) assert.ok(Object.keys(faultTypes).includes(example.split(' ')[0]!), example)
    })
  }
})
