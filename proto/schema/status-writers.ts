/** Who says the fields of a status that have one writer alone, as the option `writer` of the schema has it. */
import type { Messages } from '../gen/types.ts'
import type { StatusWriter } from './model.ts'
import { messageSchema } from './schema.ts'

/** The fields of a status that are this writer's, each as a whole. */
export function fieldsOfWriter<M extends keyof Messages>(
  status: M,
  writer: StatusWriter,
): readonly (keyof Messages[M] & string)[] {
  return messageSchema(status)
    .fields.filter(({ options }) => options.writer === writer)
    .map(({ name }) => name as keyof Messages[M] & string)
}
