/** Values that are there at once most of the time: who does not have to wait for them does not. */

/** What `next` makes of the value, at once if it is there: what is done in one turn of the program stays together. */
export function then<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}
