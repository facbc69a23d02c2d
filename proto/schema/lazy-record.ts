/**
 * A record whose values are JSON that is parsed when it is first looked at: a program looks at a few messages of the
 * schema's hundreds.
 */

/** `lines`: a name, a space and JSON each. Values are kept once parsed, and may be listed as those of any object. */
export function lazyRecord<T>(lines: string): Record<string, T> {
  // Without a prototype V8 makes it a table at once, and not one shape after the other.
  const record = Object.create(null) as Record<string, T>
  for (const line of lines.split('\n')) {
    const end = line.indexOf(' ')
    const name = line.slice(0, end)
    Object.defineProperty(record, name, {
      enumerable: true,
      configurable: true,
      get() {
        const value = JSON.parse(line.slice(end + 1)) as T
        Object.defineProperty(record, name, { value, enumerable: true })
        return value
      },
    })
  }
  return record
}
