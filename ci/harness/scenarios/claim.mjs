// The page on which a box is claimed: by whom, by whom not, and what it tells the box.

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { ORIGIN } from '../lib/box.mjs';
import { expect } from '../lib/scenario.mjs';

const CODE = '7KQ2M9XD04T';
const TYPED = ' 7kq2m-9xdo4t ';
const PAGE = `${ORIGIN}/claim`;

export const claim = {
  about: 'a box is claimed in Chromium, with the time; wrong codes wait; in Firefox it is too late',
  limit_s: 180,
  async run(t) {
    const salt = randomBytes(16);
    const hash = createHash('sha256').update(salt).update(CODE).digest('hex');
    const shared = `${t.dir}/shared`;
    mkdirSync(shared, { recursive: true });
    await t.bubble({ settings: `\n[box]\nclaim = "${salt.toString('hex')}:${hash}"\nruntime = "${shared}"\n` });
    t.planted.push(CODE);
    // Each refusal is one to the browser's console, too.
    t.provoked.complaints.push(/Failed to load resource: the server responded with a status of (403|409|429) /);
    const [ada, grace] = await t.step('Chromium and Firefox start, and open it', () => Promise.all([
      t.person('Ada Tester', 'p1'),
      t.person('Grace Tester', 'p2', { browser: 'firefox' }),
    ]));
    await Promise.all([ada, grace].map((person) => person.page.goto(PAGE)));
    await t.step('nothing entered, nothing sent', async () => {
      await enter(ada, '');
      await complains(ada, /Enter the claim code/);
    });
    await t.step('a wrong code is refused, and the next one waits', async () => {
      await enter(ada, '7KQ2M-9XD04X');
      await complains(ada, /not the claim code of this box/);
      await enter(ada, '7KQ2M-9XD04Y');
      await complains(ada, /Try again in a second/);
      expect(!existsSync(`${shared}/claimed`), 'the box was claimed by a wrong code');
    });
    await t.step('the right code, typed carelessly, claims it and tells the time', async () => {
      await ada.page.waitForTimeout(1_100);
      await enter(ada, TYPED);
      await ada.shown('[data-testid="claim-done"]');
      const off = Number(readFileSync(`${shared}/claimed`, 'utf8')) - Date.now() / 1000;
      expect(Math.abs(off) < 60, `it told a time that is ${off} s off`);
      const kept = await ada.page.evaluate(() => document.querySelector('[data-testid="claim-code"]').value);
      expect(kept === '', 'the code is still in the page');
    });
    await t.step('in Firefox it is too late', async () => {
      await enter(grace, TYPED);
      await complains(grace, /claimed this box already/);
    });
    await t.step('without the box it says so', async () => {
      await t.net.unplug('p2');
      await enter(grace, TYPED);
      await complains(grace, /does not answer/);
    });
  },
};

async function enter({ page }, code) {
  await page.fill('[data-testid="claim-code"]', code);
  await page.press('[data-testid="claim-code"]', 'Enter');
}

// Says it, to those who do not see it as well, and leads back to the field.
async function complains({ page }, pattern) {
  await page.waitForFunction(({ source }) => {
    const error = document.querySelector('[data-testid="claim-error"]');
    const code = document.querySelector('[data-testid="claim-code"]');
    return new RegExp(source).test(error.textContent) && code.getAttribute('aria-invalid') === 'true' && document.activeElement === code;
  }, { source: pattern.source }, { timeout: 30_000 });
}
