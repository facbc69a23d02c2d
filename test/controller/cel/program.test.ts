/**
 * The examples of https://kubernetes.io/docs/reference/using-api/cel/, and what the library around them must not let
 * pass.
 */
import assert from 'node:assert/strict'
import { Budget } from '../../../controller/cel/budget.ts'
import { CelError } from '../../../controller/cel/error.ts'
import { CelEnvironment, compile } from '../../../controller/cel/program.ts'

const TRUE = [
  // Lists
  '["a", "b"].isSorted()',
  '![3, 1].isSorted()',
  '["a", "b", "b", "c"].indexOf("b") == 1',
  '["a", "b", "b", "c"].lastIndexOf("b") == 2',
  '[1, 3].sum() == 4',
  '[1.0, 3.0].sum() == 4.0',
  '[1, 3].min() == 1',
  '[1, 3].max() == 3',
  '["b", "a"].min() == "a"',
  '[duration("1m"), duration("1h")].max() == duration("1h")',
  '[1, 2].reverse() == [2, 1]',
  '[2, 1].sort() == [1, 2]',
  '[1, 1, 2].distinct() == [1, 2]',
  '[1, 2, 3].slice(1, 2) == [2]',
  // Sets
  'sets.contains([1, 2], [1])',
  'sets.equivalent([1, 2], [2, 1, 1])',
  'sets.intersects([1], [1, 2])',
  '!sets.intersects([1], [2])',
  // Regular expressions
  '"abc 123".find("[0-9]+") == "123"',
  '"abc 123".find("xyz") == ""',
  '"123 abc 456".findAll("[0-9]+") == ["123", "456"]',
  '"123 abc 456".findAll("[0-9]+", 1) == ["123"]',
  '"foobar".matches("foo.*")',
  '!"foobar".matches("^bar")',
  // Texts
  '"hello".charAt(1) == "e"',
  '"a-b-c".replace("-", "+") == "a+b+c"',
  '"a-b-c".replace("-", "+", 1) == "a+b-c"',
  '"tacocat".reverse() == "tacocat"',
  '"%s is %d".format(["x", 3]) == "x is 3"',
  '"%.2f %x %b".format([1.5, 255, 5]) == "1.50 ff 101"',
  '"%s".format([[1, "a"]]) == "[1, a]"',
  'strings.quote("a\\"b") == "\\"a\\\\\\"b\\""',
  '"a,b".split(",") == ["a", "b"]',
  '["a", "b"].join("-") == "a-b"',
  '"TacoCat".lowerAscii() == "tacocat"',
  '"  x ".trim() == "x"',
  '"tacocat".substring(4) == "cat"',
  // URLs
  'isURL("https://user:pass@example.com:80/path?query=val#fragment")',
  'isURL("/absolute-path")',
  '!isURL("https://a:b:c/")',
  '!isURL("../relative-path")',
  'url("https://example.com:80/").getHost() == "example.com:80"',
  'url("https://example.com/path with spaces".replace(" ", "%20")).getEscapedPath() == "/path%20with%20spaces"',
  'url("https://example.com:80/").getScheme() == "https"',
  'url("/path").getScheme() == ""',
  'url("https://[::1]:80/").getHostname() == "::1"',
  'url("https://example.com:80/").getPort() == "80"',
  'url("https://example.com/path?k1=a&k2=b&k2=c").getQuery() == {"k1": ["a"], "k2": ["b", "c"]}',
  'url("https://example.com/path?").getQuery() == {}',
  'url("https://a/") == url("https://a/")',
  // IP addresses
  'isIP("127.0.0.1") && isIP("::1") && !isIP("127.0.0.256")',
  'ip("127.0.0.1") == ip("127.0.0.1")',
  'ip("127.0.0.1").family() == 4',
  'ip.isCanonical("127.0.0.1") && !ip.isCanonical("2001:DB8::ABCD")',
  'ip("::1").isLoopback()',
  'ip("0.0.0.0").isUnspecified()',
  'ip("169.254.169.254").isLinkLocalUnicast()',
  'ip("224.0.0.1").isLinkLocalMulticast()',
  'ip("192.168.0.1").isGlobalUnicast() && !ip("255.255.255.255").isGlobalUnicast()',
  'string(ip("192.168.1.1")) == "192.168.1.1"',
  // Ranges
  'isCIDR("192.168.0.0/24") && !isCIDR("192.168.0.0/33")',
  'cidr("192.168.0.0/24").containsIP("192.168.0.1")',
  'cidr("192.168.0.0/24").containsIP(ip("192.168.0.1"))',
  'cidr("192.168.0.0/16").containsCIDR("192.168.10.0/24")',
  'cidr("192.168.0.1/24").ip() == ip("192.168.0.1")',
  'cidr("192.168.0.1/24").masked() == cidr("192.168.0.0/24")',
  'cidr("192.168.0.0/16").prefixLength() == 16',
  'string(cidr("192.168.0.0/24")) == "192.168.0.0/24"',
  // Quantities
  'isQuantity("1.3Gi") && !isQuantity("200K")',
  'quantity("500000G").isInteger()',
  'quantity("50k").asInteger() == 50000',
  'quantity("1.5").asApproximateFloat() == 1.5',
  'quantity("-2").sign() == -1',
  'quantity("1Gi").isGreaterThan(quantity("500Mi"))',
  'quantity("500Mi").isLessThan(quantity("1Gi"))',
  'quantity("200M").compareTo(quantity("0.2G")) == 0',
  'quantity("50k").add(quantity("20")) == quantity("50020")',
  'quantity("50k").sub(20) == quantity("49980")',
  // Formats
  '!format.dns1123Label().validate("my-label").hasValue()',
  'format.dns1123Label().validate("a.b").value().size() == 1',
  'format.named("date").value().validate("2024-13-01").hasValue()',
  '!format.named("nope").hasValue()',
  // The language itself
  '[1, 2].map(x, x * 2) == [2, 4]',
  '[1, 2, 3].filter(x, x > 1) == [2, 3]',
  '[1, 2].map(x, x > 1, x * 2) == [4]',
  '[1, 2].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x == 2)',
  '{"a": 1}.all(k, k == "a")',
  '"a" in {"a": 1} && 1 in [1]',
  'has({"a": 1}.a) && !has({"a": 1}.b)',
  'has([{"a": {"b": 1}}][0].a.b)',
  '!has(optional.of({"a": 1}).value().b)',
  'optional.of(1).hasValue() && !optional.none().hasValue()',
  'optional.none().orValue(1) == 1',
  '{"a": 1}.?a.orValue(2) == 1',
  '[1][?3].orValue(2) == 2',
  'type(1) == int && type("") == string',
  'dyn(1) == dyn(1.0)',
  '1 < 1.5',
  'int("3") == 3 && double("1.5") == 1.5 && string(3) == "3"',
  'timestamp("2023-01-01T00:00:00Z") + duration("24h") == timestamp("2023-01-02T00:00:00Z")',
  'timestamp("2023-12-25T00:00:00Z").getMonth() == 11',
  'duration("90m").getHours() == 1',
  '"\\u00e9".size() == 1',
  'cel.bind(x, 2, x * x) == 4',
  '(1 / 0 == 1) || true',
  'b"abc".size() == 3',
  '"a" + "b" == "ab" && [1] + [2] == [1, 2]',
  '-7 % 3 == -1',
  'r"\\d" == "\\\\d"',
]

describe('CEL', () => {
  for (const expression of TRUE)
    it(`holds: ${expression}`, () => assert.equal(compile(expression, {}, 'bool').evaluate({}), true))

  const refused =
    (fault: string, message: RegExp) =>
    (thrown: unknown): boolean => {
      assert.ok(thrown instanceof CelError, String(thrown))
      assert.equal(thrown.fault, fault)
      assert.match(thrown.message, message)
      return true
    }
  const NOT_COMPILED: [string, RegExp][] = [
    ['', /is empty/],
    ['1 +', /^line 1, column 4: /],
    ['true ||\n  nosuch', /^line 2, column 3: Unknown variable: nosuch/],
    ['nosuch(1)', /no matching overload for 'nosuch\(int\)'/],
    ['"a".nosuch()', /'string\.nosuch\(\)'/],
    ['1 + "a"', /no such overload: int \+ string/],
    ['"a".matches("(")', /not a regular expression/],
    ['1', /must result in bool, and results in int/],
    [`${'('.repeat(500)}true${')'.repeat(500)}`, /./],
    ['true || '.repeat(10_000) + 'true', /characters/],
  ]
  for (const [expression, message] of NOT_COMPILED)
    it(`does not compile ${JSON.stringify(expression.slice(0, 40))}`, () =>
      assert.throws(() => compile(expression, {}, 'bool'), refused('compilation', message)))

  const FAILING: [string, RegExp][] = [
    ['1 / x == 1', /division by zero/],
    ['[1][x + 5] == 1', /index out of bounds/],
    ['{"a": 1}["b"] == 1', /No such key: b/],
    ['9223372036854775807 + x + 1 == 0', /overflow/],
    ['ip("x").isLoopback()', /"x" is no IP address/],
    ['quantity("x").isInteger()', /no quantity/],
    ['"a".charAt(x + 9) == ""', /out of range/],
    ['"%d".format([]) == ""', /no value/],
  ]
  for (const [expression, message] of FAILING)
    it(`tells what is wrong with ${expression}`, () =>
      assert.throws(() => compile(expression, { x: 'int' }).evaluate({ x: 0n }), refused('evaluation', message)))

  it('knows which variables an expression names', () => {
    assert.deepEqual(
      [...compile('a.all(x, x > b) && has(c.d)', { a: 'list<int>', b: 'int', c: 'dyn', e: 'int' }).references]
        .filter((name) => name !== 'x')
        .sort(),
      ['a', 'b', 'c'],
    )
  })

  it('counts what operators and functions go through by themselves', () => {
    const many = (count: number): bigint[] => Array.from({ length: count }, (_, index) => BigInt(index))
    const big = {
      l: many(5_000),
      s: new Set(many(5_000)),
      d: many(200).map(
        (index) =>
          new Map([
            ['l', many(200)],
            ['n', index],
          ] as [string, unknown][]),
      ),
      m: new Map([['l', many(5_000)]]),
      n: new Map([['l', many(5_000)]]),
    }
    const variables = {
      l: 'list<int>',
      s: 'list<int>',
      d: 'list<dyn>',
      m: 'map<string, list<int>>',
      n: 'map<string, list<int>>',
    }
    for (const heavy of [
      'l.distinct().size() > 0',
      'sets.contains(l, l)',
      'sets.equivalent(l, l)',
      '!sets.intersects(l, [-1, -2]) && sets.intersects(l, l)',
      'l.all(x, !(-1 in s))',
      'l.all(x, m == n)',
      'l.all(x, !(m != n))',
      'l.all(x, l.indexOf(-1) < 0)',
      'd.distinct().size() > 0',
    ]) {
      assert.throws(() => compile(heavy, variables).evaluate(big), refused('cost', /too much/), heavy)
    }
    const small = {
      ...big,
      l: many(500),
      s: new Set(many(500)),
      m: new Map([['l', many(500)]]),
      n: new Map([['l', many(500)]]),
    }
    for (const light of [
      'l.distinct().size() == 500',
      'sets.contains(l, l) && sets.equivalent(l, s)',
      'l.all(x, x in s)',
      'l.all(x, m == n)',
      '"abc".contains("b")',
      'm == n',
    ]) {
      assert.equal(compile(light, variables).evaluate(small), true, light)
    }
  })

  it('ends what costs too much, and takes it from what others may cost', () => {
    const list = Array.from({ length: 500 }, (_, index) => BigInt(index))
    const heavy = compile('l.all(a, l.all(b, l.all(c, a + b + c >= 0)))', { l: 'list<int>' })
    const budget = new Budget(2_500_000)
    assert.throws(() => heavy.evaluate({ l: list }, budget), refused('cost', /too much/))
    assert.throws(() => heavy.evaluate({ l: list }, budget), refused('cost', /too much/))
    assert.equal(compile('l.size() == 500', { l: 'list<int>' }).evaluate({ l: list }, budget), true)
    assert.throws(() => heavy.evaluate({ l: list }, budget), refused('cost', /too much/))
    assert.throws(
      () => compile('l.size() == 500', { l: 'list<int>' }).evaluate({ l: list }, budget),
      refused('cost', /too much/),
    )
    const text = 'x'.repeat(100_000)
    assert.throws(
      () =>
        compile('l.all(i, t.contains("y") || i >= 0)', { l: 'list<int>', t: 'string' }).evaluate({ l: list, t: text }),
      refused('cost', /too much/),
    )
    assert.throws(
      () => compile('t.matches("(x+x+)+y")', { t: 'string' }).evaluate({ t: text.repeat(100) }),
      refused('cost', /too much/),
    )
    assert.equal(compile('t.matches("(x+x+)+y")', { t: 'string' }).evaluate({ t: text }), false)
    // A pattern out of the object, long as it likes to be.
    assert.throws(
      () => compile('t.matches(p)', { t: 'string', p: 'string' }).evaluate({ t: text, p: 'x?'.repeat(500) }),
      refused('cost', /too much/),
    )
  })

  it('has types and functions of its user', () => {
    class Point {
      readonly x = 3n
    }
    const environment = new CelEnvironment(
      { p: 'Point' },
      {
        types: [{ name: 'Point', constructor: Point, fields: { x: 'int' } }],
        functions: [{ signature: 'Point.twice(): int', call: (point: Point) => point.x * 2n }],
      },
    )
    assert.equal(environment.compile('p.x + p.twice() == 9', 'bool').evaluate({ p: new Point() }), true)
    assert.throws(() => environment.compile('p.y == 1'), refused('compilation', /No such key: y/))
    assert.equal(environment.extend({ q: 'int' }).compile('p.x == q').evaluate({ p: new Point(), q: 3n }), true)
  })
})
