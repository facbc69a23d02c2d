/** Results for people and for continuous integration. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { SaxesParser } from 'saxes'
import { junitXml } from '../../../../deploy/rig/scenario/junit.ts'
import { inOrder, type ScenarioResult, type StepResult } from '../../../../deploy/rig/scenario/result.ts'
import { TextReport } from '../../../../deploy/rig/scenario/text-report.ts'
import { formatSeconds } from '../../../../deploy/rig/scenario/seconds.ts'
import { parse } from './fake-rig.ts'

const step = (number: string, more: Partial<StepResult> = {}): StepResult => ({
  number,
  round: '',
  label: `step ${number}`,
  position: { line: Number.parseInt(number), column: 3 },
  status: 'passed',
  began: 0,
  millis: 1_234,
  ...more,
})

const RESULT: ScenarioResult = {
  name: 'a <b> & "c"',
  file: 'x.yaml',
  rig: 'rig-1',
  status: 'failed',
  time: '2026-01-01T00:00:00Z',
  millis: 5_000,
  upMillis: 2_000,
  problems: ['n1 <resists>'],
  archive: '/tmp/logs.tar.gz',
  steps: [
    step('1'),
    step('2', {
      status: 'failed',
      failure: { message: 'not within 1s: ]]> & \u0000', expected: '<this>', seen: 'that\nand more', at: 1_500 },
    }),
    step('3', { status: 'stopped', round: '2' }),
    step('4', { status: 'skipped', millis: 0 }),
  ],
}

describe('reports of scenarios', () => {
  it('JUnit: a suite for each scenario, a case for each step', () => {
    assert.equal(
      junitXml([RESULT]),
      `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="gantry rig run" tests="5" failures="1" errors="1" skipped="2" time="5.000">
  <testsuite name="a &lt;b&gt; &amp; &quot;c&quot;" file="x.yaml" timestamp="2026-01-01T00:00:00Z" tests="5" failures="1" errors="1" skipped="2" time="5.000">
    <properties>
      <property name="rig" value="rig-1"/>
      <property name="archive" value="/tmp/logs.tar.gz"/>
    </properties>
    <testcase name="1 step 1" classname="a &lt;b&gt; &amp; &quot;c&quot;" file="x.yaml" line="1" time="1.234"/>
    <testcase name="2 step 2" classname="a &lt;b&gt; &amp; &quot;c&quot;" file="x.yaml" line="2" time="1.234">
      <failure message="not within 1s: ]]&gt; &amp; \ufffd" type="unmet">x.yaml:2:3: not within 1s: ]]&gt; &amp; \ufffd
expected: &lt;this&gt;
seen: that
and more
at: 1.500 s after the first step</failure>
    </testcase>
    <testcase name="3 step 3 (round 2)" classname="a &lt;b&gt; &amp; &quot;c&quot;" file="x.yaml" line="3" time="1.234">
      <skipped message="stopped: another step failed"/>
    </testcase>
    <testcase name="4 step 4" classname="a &lt;b&gt; &amp; &quot;c&quot;" file="x.yaml" line="4" time="0.000">
      <skipped message="not run"/>
    </testcase>
    <testcase name="rig" classname="a &lt;b&gt; &amp; &quot;c&quot;" file="x.yaml" time="0.000">
      <error message="n1 &lt;resists&gt;" type="rig">n1 &lt;resists&gt;</error>
    </testcase>
  </testsuite>
</testsuites>
`,
    )
  })

  it('JUnit: is XML whatever stands in it', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string({ unit: 'binary' }),
            fc.constantFrom('\ud800', 'a\udc00b', '😀', '\u0000\u0008\u000b\u001f\uffff', '--> ]]>', '"\'<&\r\n\t'),
          ),
          { maxLength: 4 },
        ),
        (texts) => {
          const parser = new SaxesParser()
          let failures = 0
          parser.on('error', (error) => assert.fail(error.message))
          parser.on('opentag', ({ name }) => void (failures += name === 'failure' ? 1 : 0))
          parser
            .write(
              junitXml([
                {
                  ...RESULT,
                  problems: texts,
                  steps: texts.map((text, index) =>
                    step(String(index + 1), { label: text, status: 'failed', failure: { message: text, seen: text } }),
                  ),
                },
              ]),
            )
            .close()
          assert.equal(failures, texts.length)
        },
      ),
    )
  })

  it('JUnit: an interrupt is an error', () => {
    assert.match(
      junitXml([{ ...RESULT, status: 'interrupted', problems: [], steps: [] }]),
      /tests="1" failures="0" errors="1".*\n[\s\S]*<error message="interrupted"/,
    )
  })

  it('text: a line for each step, more for those that failed, one at the end', () => {
    let written = ''
    const scenario = parse('name: demo\nsteps: [{ heal: }]\n')
    const report = new TextReport(scenario, {
      stdout: { write: (text) => (written += String(text)) },
      stderr: { write: () => assert.fail('nothing is for standard error here') },
      env: {},
    })
    for (const result of RESULT.steps.slice(0, 3)) {
      report.begun(
        {
          number: result.number,
          label: result.label,
          position: result.position,
          within: undefined,
          action: scenario.steps[0]!.action,
        },
        result.round,
      )
      report.ended(result)
    }
    report.finish(RESULT)
    assert.equal(
      written.replace(/ +(?=1\.2s)/g, ' ').replace('\u0000', '?'),
      `demo (test.yaml)
  ✓ 1 step 1 1.2s
  ✗ 2 step 2 1.2s
      test.yaml:2:3: not within 1s: ]]> & ?
      expected: <this>
      seen:     that
      and more
      at:       1.5s after the first step
  ■ 3 step 3 (round 2) 1.2s
  n1 <resists>
  failed in 5s: 1 step, 1 failed, 1 not run
  logs: /tmp/logs.tar.gz
`,
    )
  })

  it('order steps as the file has them, rounds as they were', () => {
    const order = inOrder([
      step('10'),
      step('2.1', { round: '10' }),
      step('2.1', { round: '2' }),
      step('2'),
      step('2.1.1', { round: '2.1' }),
      step('0'),
    ])
    assert.deepEqual(
      order.map(({ number, round }) => `${number}/${round}`),
      ['0/', '2/', '2.1/2', '2.1/10', '2.1.1/2.1', '10/'],
    )
  })

  it('show spans of time', () =>
    assert.deepEqual([0, 999, 1_000, 1_234, 59_940, 184_000].map(formatSeconds), [
      '0ms',
      '999ms',
      '1s',
      '1.2s',
      '59.9s',
      '3m04s',
    ]))
})
