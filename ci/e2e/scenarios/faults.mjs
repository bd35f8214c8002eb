// What breaks in the field: the box loses power or its cable, a phone loses its link.

import { setTimeout as pause } from 'node:timers/promises';
import { expect, expectEqual } from '../lib/scenario.mjs';

const numbered = (name, count) => Array.from({ length: count }, (_, index) => `${name}-${String(index + 1).padStart(3, '0')}`);

export const boxUnplugged = {
  about: 'the box is unplugged: the direct conversation goes on',
  async run(t) {
    await t.bubble();
    const [ada, grace] = await t.pair();
    await t.step('both say: direct', () => Promise.all([ada.path('direct'), grace.path('direct')]));
    await t.exchange(ada, grace, 'before');
    await t.step('the cable of the box is pulled', () => t.net.unplug('box'));
    await t.exchange(ada, grace, 'without');
    await t.exchange(grace, ada, 'again');
    await t.step('both notice that the box is gone', async () => {
      await Promise.all([ada, grace].map((person) => person.page.waitForFunction(
        () => document.querySelector('[data-testid="link"]')?.dataset.link !== 'up',
        null,
        { timeout: 60_000 },
      )));
    });
    await t.exchange(ada, grace, 'knowing');
    expect((await ada.pathNow()) === 'direct' && (await grace.pathNow()) === 'direct', 'the path is no longer direct');
    await t.step('the cable is back, and so is the box', async () => {
      await t.net.plug('box');
      await Promise.all([ada.linked('up', 40_000), grace.linked('up', 40_000)]);
    });
    await t.exchange(ada, grace, 'after');
    await onceAndInOrder(ada, grace);
  },
};

export const boxRestarted = {
  about: 'the box loses power with messages waiting in it: all arrive, once and in order',
  limit_s: 120,
  async run(t) {
    await t.bubble();
    const [ada, grace] = await t.pair();
    await t.exchange(ada, grace, 'before');
    const marks = numbered('wait', 8);
    await t.step('one phone is out of reach', () => t.net.unplug('p2'));
    await t.step(`${marks.length} messages are written and wait in the box`, async () => {
      for (const mark of marks) await ada.write(mark);
      for (const mark of marks) await ada.delivery(mark, 'deposited', 30_000);
    });
    await t.step('the power is cut; what the box held is gone', () => t.box.kill());
    await t.step('the box starts again, empty', () => t.box.start());
    await t.step('the sender is back with the box', () => ada.linked('up', 40_000));
    await t.step('the other phone returns, and reads all of them', async () => {
      await t.net.plug('p2');
      for (const mark of marks) await grace.reads(mark, 60_000);
    });
    await t.step('the sender knows', async () => {
      for (const mark of marks) await ada.delivery(mark, 'delivered', 30_000);
    });
    await t.exchange(ada, grace, 'after');
    await onceAndInOrder(ada, grace);
  },
};

export const linkLost8s = {
  about: 'a phone loses its link for 8 s while both write: nothing is lost, nothing comes twice',
  async run(t) {
    await t.bubble();
    const [ada, grace] = await t.pair();
    await t.step('both say: direct', () => Promise.all([ada.path('direct'), grace.path('direct')]));
    await t.exchange(ada, grace, 'before');
    const [from, to] = [numbered('ada', 10), numbered('grace', 10)];
    await t.step('the link is lost for 8 s, and both keep writing', async () => {
      await t.net.unplug('p2');
      const back = pause(8_000).then(() => t.net.plug('p2'));
      // One message a second and person: the last ones are written after the link is back.
      const writing = async (person, marks) => {
        for (const mark of marks) await Promise.all([person.write(mark), pause(900)]);
      };
      await Promise.all([back, writing(ada, from), writing(grace, to)]);
    });
    const began = performance.now();
    await t.step('everything arrives', async () => {
      await Promise.all([
        ...to.map((mark) => ada.reads(mark, 40_000)),
        ...from.map((mark) => grace.reads(mark, 40_000)),
      ]);
    });
    t.note('caught_up_s', (performance.now() - began) / 1000);
    await t.step('both know', async () => {
      await Promise.all([
        ...from.map((mark) => ada.delivery(mark, 'delivered', 40_000)),
        ...to.map((mark) => grace.delivery(mark, 'delivered', 40_000)),
      ]);
    });
    await t.step('they are direct again', () => Promise.all([ada.path('direct', 40_000), grace.path('direct', 40_000)]));
    await t.exchange(ada, grace, 'after');
    await onceAndInOrder(ada, grace);
  },
};

// What each one wrote is what the other one shows, once and in the order of writing. A receipt for
// the last message came already, so nothing is on its way any more.
async function onceAndInOrder(one, two) {
  const [first, second] = [await one.conversation(), await two.conversation()];
  expectEqual(second.received, first.sent, `what ${two.name} got from ${one.name}`);
  expectEqual(first.received, second.sent, `what ${one.name} got from ${two.name}`);
  for (const { sent } of [first, second]) expectEqual(sent, [...new Set(sent)], 'what was written, each once');
}
