// What breaks in the field: the box loses power or its cable, a phone loses its link.

import { setTimeout as pause } from 'node:timers/promises';
import { NO_TURN } from '../lib/box.mjs';
import { expect, expectEqual } from '../lib/scenario.mjs';

export const numbered = (name, count) => Array.from({ length: count }, (_, index) => `${name}-${String(index + 1).padStart(3, '0')}`);

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

export const handoverWithoutLoss = {
  about: 'without TURN, UDP stops in the middle of a direct conversation: it goes on through the mailbox, and back',
  async run(t) {
    await t.bubble({ settings: NO_TURN });
    const [ada, grace] = await t.pair();
    await t.step('both write their first message at the same moment', async () => {
      await Promise.all([ada.write('first-ada'), grace.write('first-grace')]);
      await Promise.all([ada.reads('first-grace'), grace.reads('first-ada')]);
    });
    await t.step('both say: direct', () => Promise.all([ada.path('direct'), grace.path('direct')]));
    await t.step('datagrams are lost from now on; both write into it', async () => {
      await t.net.block('udp');
      await Promise.all([writeAll(ada, numbered('ada', 5)), writeAll(grace, numbered('grace', 5))]);
    });
    const began = performance.now();
    await t.step('everything arrives, through the mailbox', async () => {
      await Promise.all([
        ...numbered('grace', 5).map((mark) => ada.reads(mark, 30_000)),
        ...numbered('ada', 5).map((mark) => grace.reads(mark, 30_000)),
      ]);
      await Promise.all([ada.path('mailbox', 30_000), grace.path('mailbox', 30_000)]);
    });
    t.note('caught_up_s', (performance.now() - began) / 1000);
    await t.exchange(ada, grace, 'mailbox');
    await t.step('datagrams pass again, and they are direct again', async () => {
      await t.net.unblock('udp');
      await Promise.all([ada.path('direct', 40_000), grace.path('direct', 40_000)]);
    });
    await t.exchange(ada, grace, 'back');
    await onceAndInOrder(ada, grace);
  },
};

export const boxRestartedThrice = {
  about: 'without UDP and TURN, the box loses power three times while both write: nothing is lost or comes twice',
  limit_s: 150,
  async run(t) {
    await t.bubble({ settings: NO_TURN, before: (net) => net.block('udp') });
    const [ada, grace] = await t.pair();
    await t.exchange(ada, grace, 'before');
    for (const round of [1, 2, 3]) {
      const [from, to] = [numbered(`ada-${round}`, 4), numbered(`grace-${round}`, 4)];
      await t.step(`power cut ${round}, in the middle of writing`, async () => {
        const cut = ada.write(from[0]).then(() => t.box.kill());
        await Promise.all([cut, writeAll(grace, to)]);
        await writeAll(ada, from.slice(1));
        await t.box.start();
      });
      await t.step('everything arrives', async () => {
        await Promise.all([...from.map((mark) => grace.reads(mark, 40_000)), ...to.map((mark) => ada.reads(mark, 40_000))]);
        await Promise.all([
          ...from.map((mark) => ada.delivery(mark, 'delivered', 40_000)),
          ...to.map((mark) => grace.delivery(mark, 'delivered', 40_000)),
        ]);
      });
    }
    await onceAndInOrder(ada, grace);
  },
};

export async function writeAll(person, marks) {
  for (const mark of marks) await person.write(mark);
}

// What each one wrote is what the other one shows, once and in the order of writing. A receipt for
// the last message came already, so nothing is on its way any more.
export async function onceAndInOrder(one, two) {
  const [first, second] = [await one.conversation(), await two.conversation()];
  expectEqual(second.received, first.sent, `what ${two.name} got from ${one.name}`);
  expectEqual(first.received, second.sent, `what ${one.name} got from ${two.name}`);
  for (const { sent } of [first, second]) expectEqual(sent, [...new Set(sent)], 'what was written, each once');
}
