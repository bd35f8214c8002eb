// Many phones in one bubble.

import { expectEqual } from '../lib/scenario.mjs';

const COUNT = 10;
// Browsers that start at the same time; more of them only get into each other's way.
const AT_ONCE = 3;

export const tenPhones = {
  about: 'ten phones join, each sees the nine others, and a ring of messages goes round',
  limit_s: 240,
  async run(t) {
    const hosts = Array.from({ length: COUNT }, (_, index) => `p${index + 1}`);
    await t.bubble({ phones: hosts });
    const people = await t.step(`${COUNT} browsers start and join`, () => inGroups(hosts, async (host) => {
      const person = await t.person(`Person ${host.slice(1).padStart(2, '0')}`, host, { trace: false });
      await person.join(t.link);
      return person;
    }));
    await t.step('each sees the nine others', () => inGroups(people, async (person) => {
      for (const other of people) if (other !== person) await person.sees(other, 60_000);
      const shown = await person.page.$$eval('[data-testid="peer"]', (entries) => entries.length);
      expectEqual(shown, COUNT - 1, `people that ${person.name} sees`);
    }));
    const next = (index) => people[(index + 1) % COUNT];
    await t.step('each writes to the next one', () => inGroups(people, async (person, index) => {
      await person.open(next(index));
      await person.write(`ring-${index}`, 'Pass it on');
    }));
    await t.step('each reads what the one before wrote', () => inGroups(people, async (person, index) => {
      await person.delivery(`ring-${index}`, 'delivered', 60_000);
      const before = (index + COUNT - 1) % COUNT;
      await person.back();
      await person.open(people[before]);
      await person.reads(`ring-${before}`, 60_000);
    }));
  },
};

// Runs `work` over all items, a few at a time, and keeps the order of the results.
async function inGroups(items, work) {
  const results = new Array(items.length);
  const waiting = items.map((item, index) => [item, index]);
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let entry; (entry = waiting.shift());) results[entry[1]] = await work(...entry);
  }));
  return results;
}
