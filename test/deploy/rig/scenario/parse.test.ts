/** Files of scenarios: what they may say, and that everything else is refused at its place. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { faultTypes } from '../../../../deploy/rig/faults/index.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { allSteps } from '../../../../deploy/rig/scenario/result.ts'
import type { Condition } from '../../../../deploy/rig/scenario/scenario.ts'
import { parse } from './fake-rig.ts'

const WEB = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\n'

/** Steps under "steps:". */
function steps(text: string): string {
  return `steps:\n${text.replace(/^/gm, '  ')}\n`
}

function labels(text: string, files?: Record<string, string>): string[] {
  return allSteps(parse(text, files).steps).map(({ number, label }) => `${number} ${label}`)
}

function refusal(text: string, files?: Record<string, string>): string[] {
  try {
    parse(text, files)
  } catch (thrown) {
    return (thrown as Error).message.split('\n')
  }
  throw new assert.AssertionError({ message: `it was accepted: ${text}` })
}

/** One step, and what it is called. */
const GOOD: readonly (readonly [string, string])[] = [
  ['- apply: web.yaml', '1 apply web.yaml'],
  ['- apply: { apiVersion: v1, kind: ConfigMap, metadata: { name: one } }', '1 apply configmap/one'],
  [
    '- apply: [web.yaml, { apiVersion: v1, kind: ConfigMap, metadata: { name: one } }]',
    '1 apply configmap/web and configmap/one',
  ],
  ['- delete: pod/web', '1 delete pod/web'],
  ['- delete: { objects: pods, selector: app=web, grace: 0 }', '1 delete pods app=web'],
  ['- patch: { object: deployment/web, merge: { spec: { paused: true } } }', '1 patch deployment/web'],
  ['- scale: { deployment/web: 5, rs/old: 0 }', '1 scale deployment/web to 5, rs/old to 0'],
  ['- rollout: deployment/web', '1 rollout of deployment/web is complete'],
  ['- rollout: { restart: deploy/web }', '1 restart rollout of deploy/web'],
  ['- until: deployment/web', '1 until deployment/web is ready'],
  ['- until: { object: deployment/web, condition: Available, within: 30s }', '1 until deployment/web is Available'],
  ['- until: { object: node/n2, condition: Ready=Unknown }', '1 until node/n2 is Ready=Unknown'],
  ['- until: { object: pod/web, exists: false }', '1 until pod/web is gone'],
  [
    '- until: { objects: pods, selector: app=web, count: { atLeast: 2, atMost: 4 } }',
    '1 until pods app=web count is at least 2 and is at most 4',
  ],
  [
    '- check: { objects: pods, path: .status.phase, is: Running, count: 3 }',
    '1 check pods .status.phase is Running, count is 3',
  ],
  ['- check: [deployment/web, { run: uptime, on: n1 }]', '1 check deployment/web is ready; `uptime` on n1 succeeds'],
  [
    '- check: { run: [cat, /etc/hostname], on: pod/web, contains: web, lacks: db }',
    '1 check `cat /etc/hostname` on pod/web contains web and lacks db',
  ],
  ['- check: { run: "false", exit: 1 }', '1 check `false` ends with 1'],
  ['- check: { logs: deployment/web, matches: ^ready$ }', '1 check log of deployment/web matches /^ready$/m'],
  ['- check: { http: "http://10.0.0.1:80/", on: n1, status: 404 }', '1 check http://10.0.0.1:80/ from n1 answers 404'],
  [
    '- check: { http: ":8080/x", pods: app=web, contains: hello }',
    '1 check :8080/x of pods app=web answers and contains hello',
  ],
  [
    '- always: { objects: pods, path: ".status.containerStatuses[*].restartCount", atMost: 0 }',
    '1 always pods .status.containerStatuses[*].restartCount is at most 0',
  ],
  ['- run: echo $HOME', '1 echo $HOME'],
  ['- run: [ls, /]\n  on: n2\n  exit: 0', '1 ls / on n2'],
  ['- gantry: get pods -o wide', '1 gantry get pods -o wide'],
  ['- pause: 250ms', '1 pause 250ms'],
  ['- kill: n2', '1 kill n2'],
  ['- kill: n1/agent\n  for: 5s', '1 kill n1/agent for 5s'],
  ['- kill: $leader/etcd', '1 kill $leader/etcd'],
  ['- partition: { from: [n1], to: [n2, n3], for: 10s }', '1 partition n1 to n2,n3 for 10s'],
  ['- partition: [n1, n2]', '1 partition n1,n2'],
  ['- start: n2', '1 start n2'],
  ['- heal:', '1 heal all'],
  ['- pause: 1s\n  name: a moment', '1 a moment'],
]

/** A whole file, and every line of its refusal. */
const BAD: readonly (readonly [string, string, readonly string[]])[] = [
  ['an empty file', '', ['test.yaml:1:1: is empty; a scenario has at least "steps"']],
  [
    'two documents',
    `${steps('- heal:')}---\nsteps: []\n`,
    ['test.yaml:4:1: a second document: a file holds one scenario (put it into a file of its own)'],
  ],
  [
    'bad syntax, once',
    'steps: [}\n',
    ['test.yaml:1:9: flow sequence in block collection must be sufficiently indented and end with a ]'],
  ],
  ['no steps', 'name: x\n', ['test.yaml:1:1: needs "steps": what is done']],
  ['steps that are none', 'steps: 5\n', ['test.yaml:1:8: steps: 5 is not a list']],
  ['an empty list', 'steps: []\n', ['test.yaml:1:1: steps: is empty; there must be a step']],
  [
    'an unknown section',
    `stpes: 1\n${steps('- heal:')}`,
    ['test.yaml:1:1: stpes: a scenario has no "stpes" (did you mean steps?)'],
  ],
  [
    'a key twice',
    `name: a\nname: b\n${steps('- heal:')}`,
    ['test.yaml:2:1: name: the key name stands here a second time (the first is at 1:1; keep one)'],
  ],
  [
    'an unknown step',
    steps('- aply: web.yaml'),
    ['test.yaml:2:5: steps[0].aply: is not known in a step (did you mean apply?)'],
  ],
  [
    'a step of other tools',
    steps('- wait: 5s'),
    ['test.yaml:2:5: steps[0].wait: is not a step ("until" waits for a state, "pause" lets time pass)'],
  ],
  [
    'two steps in one',
    steps('- heal:\n  pause: 1s'),
    ['test.yaml:2:5: steps[0]: heal and pause do not go together in a step (make two of it)'],
  ],
  [
    'a step that is text',
    steps('- heal'),
    [/^test.yaml:2:5: steps\[0\]: is not a step: a map is expected, with one of apply, /.source],
  ],
  [
    'an unknown word beside a step',
    steps('- heal:\n  wihtin: 5s'),
    ['test.yaml:3:5: steps[0].wihtin: the step "heal" has no "wihtin" (did you mean within?)'],
  ],
  [
    'a check that waits',
    steps('- check: deployment/web\n  within: 5s'),
    ['test.yaml:3:5: steps[0].within: the step "check" has no "within" (check looks once; until waits)'],
  ],
  ['a time without unit', steps('- pause: 5'), ['test.yaml:2:12: steps[0].pause: 5 has no unit (write 5s or 5ms)']],
  [
    'a time that is none',
    steps('- until: { object: pod/a, within: soon }'),
    ['test.yaml:2:37: steps[0].until.within: "soon" is not a length of time, such as 30s, 5m or 1h30m'],
  ],
  [
    'an unknown kind',
    steps('- until: deploymnet/web'),
    ['test.yaml:2:12: steps[0].until: no kind is called "deploymnet"; did you mean "deployment"?'],
  ],
  [
    'a name alone',
    steps('- until: web'),
    ['test.yaml:2:12: steps[0].until: "web" is not TYPE/NAME (such as deployment/web; several are objects: TYPE)'],
  ],
  [
    'a condition without subject',
    steps('- check: { path: .spec }'),
    [
      'test.yaml:2:5: steps[0].check: is not a condition: it has none of object, objects, run, gantry, logs, http, unchanged',
    ],
  ],
  [
    'a path without test',
    steps('- check: { object: pod/a, path: .spec }'),
    [
      'test.yaml:2:29: steps[0].check.path: says where to look, but nothing says what must be there (add one of is, isNot, atLeast, atMost, contains, lacks, matches)',
    ],
  ],
  [
    'a bad path',
    steps('- check: { object: pod/a, path: ".spec[", is: 1 }'),
    [/^test.yaml:2:35: steps\[0\].check.path: jsonpath/.source],
  ],
  [
    'a bad pattern',
    steps('- check: { run: ls, matches: "(" }'),
    [/^test.yaml:2:32: steps\[0\].check.matches: invalid regular expression/.source],
  ],
  [
    'a bad selector',
    steps('- check: { objects: pods, selector: "a in b" }'),
    [/^test.yaml:2:39: steps\[0\].check.selector: /.source],
  ],
  [
    'text for a number',
    steps('- check: { objects: pods, count: many }'),
    ['test.yaml:2:36: steps[0].check.count: "many" is not a whole number from 0 on'],
  ],
  [
    'an unknown machine',
    steps('- run: ls\n  on: n4'),
    ['test.yaml:3:9: steps[0].on: the rig has no machine "n4" (did you mean n1?)'],
  ],
  [
    'an unknown machine in a fault',
    steps('- kill: n9'),
    [
      'test.yaml:2:11: steps[0].kill: target: the rig has no machine "n9"; did you mean "n1"? (it has controller, n1, n2, n3, registry)',
    ],
  ],
  [
    'an unknown parameter of a fault',
    steps('- partition: { form: n1 }'),
    [
      'test.yaml:2:5: steps[0].partition: partition needs "from": one side (one or several of controller, n1, n2, n3, registry, nodes, controllers, all, host)',
      'test.yaml:2:18: steps[0].partition.form: partition has no "form"; did you mean "from"? (it has from, to, oneWay, port, protocol)',
    ],
  ],
  [
    'an end for what is over at once',
    steps('- cont: n1\n  for: 5s'),
    ['test.yaml:3:5: steps[0].for: cont is over as soon as it is done (leave "for" out)'],
  ],
  [
    'healing what was not done',
    steps('- heal: partition'),
    ['test.yaml:2:11: steps[0].heal: no fault before it is called "partition" (there is nothing to heal yet)'],
  ],
  [
    'for and during',
    steps('- kill: n1\n  for: 5s\n  during: [{ heal: }]'),
    ['test.yaml:4:5: steps[0].during: ends the fault, and so does "for"; keep one'],
  ],
  [
    'an unknown variable',
    steps('- delete: pod/$wbe'),
    ['test.yaml:2:13: steps[0].delete: nothing before it is remembered as "wbe" (write $$ for a dollar)'],
  ],
  [
    'a variable that comes later',
    steps('- check: { unchanged: ids }\n- remember: { ids: { object: pod/a, path: .metadata.uid } }'),
    ['test.yaml:2:25: steps[0].check.unchanged: nothing before it is remembered as "ids"'],
  ],
  [
    'a variable misspelt',
    steps('- remember: { ids: { object: pod/a, path: .metadata.uid } }\n- check: { unchanged: idz }'),
    ['test.yaml:3:25: steps[1].check.unchanged: nothing before it is remembered as "idz"; did you mean $ids?'],
  ],
  [
    'a name that is taken',
    steps('- remember: { leader: x }'),
    [
      'test.yaml:2:17: steps[0].remember.leader: "leader" is always there: the controller that leads now, by its machine\'s name (choose another name)',
    ],
  ],
  [
    'a missing file',
    steps('- apply: wb.yaml'),
    ['test.yaml:2:12: steps[0].apply: there is no file wb.yaml in /scenarios'],
  ],
  [
    'a missing image',
    `images: [busybox, none.tar]\n${steps('- heal:')}`,
    ['test.yaml:1:19: images[1]: there is no file none.tar in /scenarios'],
  ],
  [
    'a manifest with an unknown field',
    steps('- apply:\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: { name: a }\n    dta: { x: y }'),
    ['test.yaml:6:7: steps[0].apply.dta: unknown field (did you mean data?)'],
  ],
  [
    'a manifest that is not valid',
    steps('- apply: { apiVersion: v1, kind: ConfigMap, metadata: { name: A_b } }'),
    [/^test.yaml:2:65: steps\[0\].apply.metadata.name: "A_b" is not a DNS name/.source],
  ],
  [
    'a rig that cannot be',
    `rig: { nodes: 0, controllers: 2, driver: dokcer, disk: lots }\n${steps('- heal:')}`,
    [
      'test.yaml:1:15: rig.nodes: 0 is not a whole number from 1 to 200',
      'test.yaml:1:31: rig.controllers: 2 is not a number of controllers (it is one of 1, 3, 5, so that a majority decides)',
      'test.yaml:1:42: rig.driver: "dokcer" is not among the choices (did you mean docker?)',
      /^test.yaml:1:56: rig.disk: /.source,
    ],
  ],
]

describe('scenario files', () => {
  for (const [text, label] of GOOD)
    it(`reads ${text.replaceAll('\n', ' ')}`, () => assert.deepEqual(labels(steps(text), { 'web.yaml': WEB }), [label]))

  for (const [what, text, lines] of BAD) {
    it(`refuses ${what}`, () => {
      const got = refusal(text)
      assert.equal(got.length, lines.length, got.join('\n'))
      lines.forEach((line, index) =>
        line.startsWith('^') ? assert.match(got[index]!, new RegExp(line)) : assert.equal(got[index], line),
      )
    })
  }

  it('tells all problems at once, in their order, those of manifests in their files', () => {
    const files = { 'bad.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: { nam: a }\n' }
    assert.deepEqual(
      refusal(steps('- pause: 1\n- apply: bad.yaml\n- kill: n7'), files).map((line) => line.split(': ')[0]),
      ['test.yaml:2:12', 'bad.yaml:3:13', 'test.yaml:4:11'],
    )
  })

  it('tells a bad file only once, at its own places', () => {
    const lines = refusal(steps('- apply: bad.yaml'), {
      'bad.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndta: { b: c }\nmore: 1\n',
    })
    assert.deepEqual(lines, ['bad.yaml:4:1: dta: unknown field (did you mean data?)', lines[1]!])
    assert.match(lines[1]!, /^bad.yaml:5:1: more: unknown field/)
  })

  it('knows the machines of the rig that it asks for', () => {
    assert.deepEqual(labels(`rig: { nodes: 5, controllers: 3 }\n${steps('- kill: n5\n- stop: controller-3/etcd')}`), [
      '1 kill n5',
      '2 stop controller-3/etcd',
    ])
    assert.match(refusal(`rig: { nodes: 1 }\n${steps('- kill: n2')}`)[0]!, /no machine "n2"/)
  })

  it('numbers steps in steps', () => {
    const text = steps(
      '- parallel:\n    - pause: 1s\n    - [{ pause: 2s }, { pause: 3s }]\n- repeat: { times: 2, steps: [{ kill: n1, during: [{ pause: 4s }] }] }\n- always: pod/a\n  during: [{ pause: 5s }]',
    )
    assert.deepEqual(labels(text), [
      '1 2 at once',
      '1.1 pause 1s',
      '1.2.1 pause 2s',
      '1.2.2 pause 3s',
      '2 2 times',
      '2.1 kill n1',
      '2.1.1 pause 4s',
      '3 always pod/a is ready',
      '3.1 pause 5s',
    ])
  })

  it("puts objects into the scenario's namespace unless they name one", () => {
    const {
      steps: [first],
    } = parse(
      `namespace: shop\n${steps('- apply: [{ apiVersion: v1, kind: ConfigMap, metadata: { name: a } }, { apiVersion: v1, kind: ConfigMap, metadata: { name: b, namespace: other } }]')}`,
    )
    assert.ok(first?.action.is === 'apply')
    assert.deepEqual(
      first.action.objects.map(({ json }) => (json.metadata as { namespace: string }).namespace),
      ['shop', 'other'],
    )
  })

  it('has every kind of fault as a step, and wants of each what its command wants', () => {
    for (const { kind, parameters } of Object.values(faultTypes)) {
      const [line] = refusal(steps(`- ${kind}: { nothing: 1 }`)).filter((text) => text.includes('nothing'))
      assert.match(
        line!,
        new RegExp(`^test.yaml:2:\\d+: steps\\[0\\](\\.${kind}|\\[${kind}\\])\\.nothing: ${kind} has no "nothing"`),
      )
      for (const name of Object.keys(parameters)) assert.ok(line!.includes(name), `${kind} does not tell of ${name}`)
    }
  })

  it('makes time to wait from what stands inside or beside', () => {
    const {
      steps: [one, two, three],
    } = parse(steps('- until: { object: pod/a, within: 5s }\n- until: pod/a\n  within: 7s\n- until: pod/a'))
    assert.deepEqual(
      [one, two, three].map((step) => step?.within),
      [5_000, 7_000, 60_000],
    )
    assert.deepEqual(refusal(steps('- until: { object: pod/a, within: 5s }\n  within: 7s')), [
      'test.yaml:3:5: steps[0].within: stands here and in the condition; keep one',
    ])
  })

  it('keeps dollars of shells, and knows those of its own', () => {
    const { steps: list } = parse(
      steps(
        '- remember: { ip: { object: pod/a, path: .status.podIP } }\n- check: { run: "wget -qO- http://$ip | grep $5", on: $leader }',
      ),
    )
    const { action } = list[1]!
    assert.ok(action.is === 'check')
    const [condition] = action.conditions as [Condition & { is: 'output' }]
    assert.deepEqual(condition.probe, {
      is: 'command',
      command: 'wget -qO- http://$ip | grep $5',
      place: { is: 'machine', name: '$leader' },
    })
  })

  it('places every problem, whatever the text is', () => {
    const word = fc.constantFrom(
      'apply',
      'until',
      'check',
      'always',
      'kill',
      'partition',
      'repeat',
      'parallel',
      'remember',
      'steps',
      'object',
      'objects',
      'path',
      'is',
      'count',
      'within',
      'run',
      'on',
      'times',
      'during',
      'for',
      'heal',
      'scale',
      'http',
      'pods',
      'x',
    )
    const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom('n1', 'n2/agent', 'pods', 'pod/a', '$x', '5s', '', 'web.yaml'),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(word, tie('value'), { maxKeys: 3 }),
      ),
    })).value
    fc.assert(
      fc.property(
        fc.oneof(
          fc
            .record({ steps: fc.array(fc.dictionary(word, value, { maxKeys: 3 })) }, { requiredKeys: ['steps'] })
            .map((object) => JSON.stringify(object)),
          fc.string({ maxLength: 60 }),
          fc.string({ unit: 'binary', maxLength: 40 }).map((text) => `steps:\n- ${text}`),
        ),
        (text) => {
          try {
            parse(text, { 'web.yaml': WEB })
          } catch (thrown) {
            assert.ok(GantryError.is(thrown, 'InvalidArgument', 'Unsupported'), String((thrown as Error).stack))
            for (const line of thrown.message.split('\n')) assert.match(line, /^(test|web)\.yaml:\d+:\d+: /)
          }
        },
      ),
      { numRuns: 400 },
    )
  })

  it('name the word for how long, where people write another', () => {
    for (const text of [
      '- until: { object: pod/web, exists: true, timeout: 5s }',
      '- until: pod/web\n  timeout: 5s',
      '- run: true\n  timeout: 5s',
    ]) {
      assert.match(
        refusal(steps(text)).join('\n'),
        /timeout: .* has no "timeout" \("within" says how long it may take\)/,
      )
    }
    assert.match(
      refusal(steps('- eventually: pod/web')).join('\n'),
      /is not a step \("until" waits until something holds\)/,
    )
  })
})
