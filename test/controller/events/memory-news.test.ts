import { MemoryEventLog, MemoryNews } from '../../../controller/events/memory-news.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { newsSuite } from '../../contract/news.ts'

describe('news in memory', () =>
  newsSuite(() => {
    const clock = new FakeClock()
    const log = new MemoryEventLog(clock)
    const random = seededRandom(1)
    return {
      one: new MemoryNews(log, { clock, random }),
      other: new MemoryNews(log, { clock, random }),
      published: () => Promise.resolve(),
    }
  }))
