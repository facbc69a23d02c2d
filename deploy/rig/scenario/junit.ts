/**
 * Results as JUnit XML, as continuous integration reads it: a suite for each scenario, a case for each step. The form
 * that is common to its readers:
 * https://github.com/testmoapp/junitxml
 */
import type { ScenarioResult, StepResult } from './result.ts'

/** Characters that XML 1.0 does not have (https://www.w3.org/TR/xml/#charsets), lone surrogates included. */
const FORBIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\n': '&#10;',
  '\r': '&#13;',
  '\t': '&#9;',
}

/** For an attribute's value. */
function attribute(text: string): string {
  return text.replace(FORBIDDEN, '\ufffd').replace(/[&<>"'\n\r\t]/g, (character) => ENTITIES[character]!)
}

/** For text between tags, where lines stay lines. */
function content(text: string): string {
  return text.replace(FORBIDDEN, '\ufffd').replace(/[&<>\r]/g, (character) => ENTITIES[character]!)
}

function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  children: readonly string[],
  indent: string,
): string {
  const begin = `${indent}<${name}${Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${attribute(String(value))}"`)
    .join('')}`
  return children.length === 0 ? `${begin}/>` : `${begin}>\n${children.join('\n')}\n${indent}</${name}>`
}

function leaf(name: string, attributes: Readonly<Record<string, string>>, text: string, indent: string): string {
  return `${indent}<${name}${Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${attribute(value)}"`)
    .join('')}>${content(text)}</${name}>`
}

/** A whole file. */
export function junitXml(results: readonly ScenarioResult[]): string {
  const suites = results.map(suiteOf)
  const sum = (key: 'tests' | 'failures' | 'errors' | 'skipped'): number =>
    suites.reduce((total, { counts }) => total + counts[key], 0)
  const attributes = {
    name: 'gantry rig run',
    tests: sum('tests'),
    failures: sum('failures'),
    errors: sum('errors'),
    skipped: sum('skipped'),
    time: seconds(results.reduce((total, { millis }) => total + millis, 0)),
  }
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element(
    'testsuites',
    attributes,
    suites.map(({ xml }) => xml),
    '',
  )}\n`
}

function suiteOf(result: ScenarioResult): {
  xml: string
  counts: Record<'tests' | 'failures' | 'errors' | 'skipped', number>
} {
  const { name, file, time, millis, steps, problems, archive, rig, status } = result
  const troubles = problems.length > 0 ? [...problems] : status === 'interrupted' ? ['interrupted'] : []
  const count = (...wanted: StepResult['status'][]): number =>
    steps.filter((step) => wanted.includes(step.status)).length
  const counts = {
    tests: steps.length + (troubles.length > 0 ? 1 : 0),
    failures: count('failed'),
    errors: troubles.length > 0 ? 1 : 0,
    skipped: count('skipped', 'stopped'),
  }
  const cases = [
    ...steps.map((step) => caseOf(step, name, file)),
    ...(troubles.length === 0
      ? []
      : [
          element(
            'testcase',
            { name: 'rig', classname: name, file, time: seconds(0) },
            [leaf('error', { message: troubles[0]!, type: 'rig' }, troubles.join('\n'), '      ')],
            '    ',
          ),
        ]),
  ]
  const properties = element(
    'properties',
    {},
    [['rig', rig], ...(archive === undefined ? [] : [['archive', archive]])].map(([key, value]) =>
      element('property', { name: key!, value: value! }, [], '      '),
    ),
    '    ',
  )
  return {
    counts,
    xml: element(
      'testsuite',
      { name, file, timestamp: time, ...counts, time: seconds(millis) },
      [properties, ...cases],
      '  ',
    ),
  }
}

function caseOf(step: StepResult, classname: string, file: string): string {
  const { number, round, label, position, status, millis, failure } = step
  const attributes = {
    name: `${number} ${label}${round === '' ? '' : ` (round ${round})`}`,
    classname,
    file,
    line: position.line,
    time: seconds(millis),
  }
  const inner =
    status === 'passed'
      ? []
      : failure !== undefined
        ? [
            leaf(
              'failure',
              { message: failure.message, type: failure.expected === undefined ? 'error' : 'unmet' },
              failureText(step, file),
              '      ',
            ),
          ]
        : [
            element(
              'skipped',
              { message: status === 'stopped' ? 'stopped: another step failed' : 'not run' },
              [],
              '      ',
            ),
          ]
  return element('testcase', attributes, inner, '    ')
}

function failureText({ failure, position }: StepResult, file: string): string {
  const { message, expected, seen, at } = failure!
  return [
    `${file}:${position.line}:${position.column}: ${message}`,
    ...(expected === undefined ? [] : [`expected: ${expected}`]),
    ...(seen === undefined ? [] : [`seen: ${seen}`]),
    ...(at === undefined ? [] : [`at: ${seconds(at)} s after the first step`]),
  ].join('\n')
}

function seconds(millis: number): string {
  return (millis / 1_000).toFixed(3)
}
