// A bubble that broadcasts: people talk, and neither the box nor the wire shows who does.

import { setTimeout as pause } from 'node:timers/promises';
import { ORIGIN } from '../lib/box.mjs';
import { expect } from '../lib/scenario.mjs';

// Longer than anything that happens once: subscribing, an entry in the directory.
const WATCHED_S = 40;
// What one phone may send more than another in that time: a block more or less at its ends, how TCP confirms, and what a
// browser misses on a busy machine.
const APART = 0.25;

export const broadcast = {
  about: 'a bubble that broadcasts, in Chromium and Firefox: two talk and one is silent, and the box and the wire see the same of all three',
  limit_s: 240,
  async run(t) {
    await t.bubble({ phones: ['p1', 'p2', 'p3'], broadcast: true });
    const people = await t.step('three browsers start', () => Promise.all([
      t.person('Ada Tester', 'p1'),
      t.person('Grace Tester', 'p2', { browser: 'firefox' }),
      t.person('Eve Tester', 'p3'),
    ]));
    const [ada, grace] = people;
    await t.step('all join', () => Promise.all(people.map((person) => person.join(t.link))));
    await t.step('two open the conversation', () => Promise.all([ada.open(grace), grace.open(ada)]));
    await t.exchange(ada, grace, 'first');
    await t.step('the page says how messages go', async () => {
      await Promise.all([ada, grace].map((person) => person.path('broadcast')));
      expect((await ada.pairs()).length === 0, 'there is a direct connection');
    });
    await t.step('the box has no inbox: a directory, and one log for all', async () => {
      const dump = await t.box.dump();
      const kinds = [...dump.matchAll(/^mailbox .*?\bkind=(\S+)/gm)].map(([, kind]) => kind);
      expect(kinds.length === 2 && kinds.every((kind) => kind === 'log'), `it holds:\n${dump}`);
    });
    await t.step(`on the wire all three are the same for ${WATCHED_S} seconds`, async () => {
      const before = await sent(t);
      const end = performance.now() + WATCHED_S * 1000;
      for (let count = 1; performance.now() < end - 8_000; count += 1) {
        await ada.write(`ada-${count}`, 'Bonjour');
        await grace.reads(`ada-${count}`);
        await grace.write(`grace-${count}`, 'Salut');
        await ada.reads(`grace-${count}`);
      }
      await pause(Math.max(0, end - performance.now()));
      const after = await sent(t);
      const grown = after.map((bytes, index) => bytes - before[index]);
      t.note('bytes_sent', grown);
      const [least, most] = [Math.min(...grown), Math.max(...grown)];
      expect(least > (WATCHED_S / 2 - 4) * 4096, `somebody did not send a block every two seconds: ${grown}`);
      expect(most / least < 1 + APART, `the three sent ${grown} bytes`);
    });
    await t.step('a new bubble can be one', async () => {
      const [, , eve] = people;
      await eve.page.goto('about:blank');
      await eve.page.goto(`${ORIGIN}/`);
      await eve.page.click('[data-testid="start-bubble"]');
      await eve.page.fill('[data-testid="pseudonym"]', eve.name);
      await eve.page.check('[data-testid="broadcast"]');
      await eve.page.click('[data-testid="join"]');
      await eve.here();
      await eve.page.click('[data-testid="invite"]');
      const link = await eve.page.inputValue('[data-testid="invite-link"]');
      // What the fragment's bytes begin with tells.
      expect(Buffer.from(link.split('#')[1], 'base64url')[0] === 3, 'the invitation does not say that it broadcasts');
      t.planted.push(link.split('#')[1]);
    });
  },
};

// Bytes that each phone has given to its network.
async function sent(t) {
  return Promise.all(['p1', 'p2', 'p3'].map(async (host) => {
    const links = JSON.parse(await t.net.inside(host, 'ip', ['-j', '-s', 'link']));
    return links.filter((link) => link.ifname !== 'lo').reduce((sum, link) => sum + link.stats64.tx.bytes, 0);
  }));
}
