/**
 * One document of YAML as a request's body holds it, to JSON. Reading YAML costs a hundred times what JSON does, and
 * more where somebody means harm.
 */
import { describeProblem, problem, type Problem } from '../../../proto/base/problem.ts'
import { readYaml } from '../../../proto/codec/yaml.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import { HttpError } from '../status.ts'

/** Characters of YAML, and brackets open in it. */
export const YAML_LIMIT = 512 * 1024
const BRACKET_LIMIT = 10_000

export interface ParsedYaml {
  readonly value: JsonValue
  /** Keys that come twice: for strict validation. */
  readonly problems: readonly Problem[]
}

/**
 * HttpError: 400 with the place of what is no YAML or has no form in JSON, and for several documents; 413 for a text
 * that is too long.
 */
export function parseYaml(text: string): ParsedYaml {
  if (text.length > YAML_LIMIT)
    throw new HttpError(
      413,
      'RequestEntityTooLarge',
      `the body is YAML of more than ${YAML_LIMIT} bytes: send it as JSON`,
      'ResourceExhausted',
    )
  if (bracketsOpen(text) > BRACKET_LIMIT) throw malformed('the body is nested too deep')
  const documents = readYaml(text)
  const [document] = documents
  if (document === undefined) return { value: null, problems: [] }
  if (documents.length > 1) throw malformed(`the body holds ${documents.length} documents: send one`)
  const fault = document.faults.find(({ duplicate }) => !duplicate)
  if (fault !== undefined) {
    const {
      position: { line, column },
      path,
      message,
      remedy,
    } = fault
    throw malformed(
      `the body is not YAML at line ${line}, column ${column}: ${describeProblem({ field: path, value: '', message, remedy })}`,
    )
  }
  return {
    value: document.value,
    problems: document.faults.map(({ path, remedy }) =>
      problem(path, 'duplicate field', { key: true, unknownOrDuplicate: true, remedy }),
    ),
  }
}

/**
 * How many brackets are open at most, those in quotes and comments among them: a bound of the depth, had without
 * reading.
 */
function bracketsOpen(text: string): number {
  let [open, most] = [0, 0]
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 91 || code === 123) most = Math.max(most, ++open)
    else if (code === 93 || code === 125) open--
  }
  return most
}

function malformed(message: string): HttpError {
  return new HttpError(400, 'BadRequest', message)
}
