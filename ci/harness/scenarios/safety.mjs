// Two persons compare the number that shows whether somebody stands between their devices.

import { expect, expectEqual } from '../lib/scenario.mjs';

export const safety = {
  about: 'two persons compare safety numbers, in Chromium and Firefox; a namesake is told from who was verified',
  limit_s: 120,
  async run(t) {
    await t.bubble({ phones: ['p1', 'p2', 'p3'] });
    const [ada, grace] = await t.pair({ browsers: ['chromium', 'firefox'] });
    const [hers, theirs] = await t.step('both show the number, and it is the same', () => Promise.all([ada, grace].map(show)));
    expectEqual(hers, theirs, 'the two numbers');
    expect(/^(\d{5} ){11}\d{5}$/.test(hers), `the number is ${hers}`);
    await t.step('the one who says that it is the same sees that mark, the other not', async () => {
      await ada.page.screenshot({ path: `${t.out}/number.png` });
      await ada.page.click('[data-testid="safety-same"]');
      await ada.shown('[data-testid="verified"]');
      await ada.page.waitForSelector('[data-testid="safety-number"]', { state: 'detached' });
      const focused = await ada.page.evaluate(() => document.activeElement?.dataset.testid);
      expect(focused === 'verify', `the focus went to ${focused}`);
      await grace.page.click('[data-testid="verify"]');
      await grace.page.waitForSelector('[data-testid="safety-number"]', { state: 'detached' });
      expect(!await grace.page.$('[data-testid="verified"]'), 'the mark came without a comparison');
      await ada.page.screenshot({ path: `${t.out}/verified.png` });
    });
    await t.step('somebody else with that name is told from her', async () => {
      const namesake = await t.person(grace.name, 'p3');
      await namesake.join(t.link);
      await ada.page.waitForFunction(() => [...document.querySelectorAll('[data-testid="notice"]')]
        .some((notice) => /another device/.test(notice.textContent)), null, { timeout: 30_000 });
    });
    await t.step('who finds that it differs takes the mark away', async () => {
      await show(ada);
      await ada.page.click('[data-testid="safety-different"]');
      await ada.page.waitForSelector('[data-testid="verified"]', { state: 'detached' });
    });
  },
};

async function show(person) {
  await person.page.click('[data-testid="verify"]');
  await person.shown('[data-testid="safety-number"]');
  return person.page.textContent('[data-testid="safety-number"]');
}
