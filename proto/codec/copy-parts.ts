/** Copies of lists and maps of what is copied in a way of its own. */

type Copy = (value: never) => unknown

export function listOf(items: readonly never[], copy: Copy): unknown[] {
  return items.map((item) => copy(item))
}

export function mapOf(map: Readonly<Record<string, never>>, copy: Copy): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).map(([key, item]) => [key, copy(item)]))
}
