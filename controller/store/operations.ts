/** What every store refuses before it looks at its state. */
import { GantryError } from '../../proto/base/errors.ts'
import { COMMIT_LIMIT, VALUE_LIMIT, type Operation } from './contract.ts'

/**
 * InvalidArgument for more than COMMIT_LIMIT operations or a key twice; ResourceExhausted for a value over VALUE_LIMIT.
 */
export function checkOperations(operations: readonly Operation[]): void {
  if (operations.length > COMMIT_LIMIT) {
    throw new GantryError(
      'InvalidArgument',
      `a commit has at most ${COMMIT_LIMIT} operations, not ${operations.length}`,
    )
  }
  const keys = new Set<string>()
  for (const operation of operations) {
    if (keys.has(operation.key)) throw new GantryError('InvalidArgument', `a commit writes ${operation.key} twice`)
    keys.add(operation.key)
    checkSize(operation)
  }
}

/** ResourceExhausted, with the size, for a value over VALUE_LIMIT. */
function checkSize(operation: Operation): void {
  if (operation.kind === 'put' && operation.value.length > VALUE_LIMIT) {
    throw new GantryError(
      'ResourceExhausted',
      `${operation.key} is ${operation.value.length} bytes large; the limit is ${VALUE_LIMIT}`,
      {
        details: [
          {
            value: String(operation.value.length),
            message: `an object has at most ${VALUE_LIMIT} bytes`,
            remedy: 'divide it, or keep large content elsewhere',
          },
        ],
      },
    )
  }
}
