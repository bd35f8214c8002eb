// A person's device goes from one network to another in the middle of a conversation.

import { setTimeout as pause } from 'node:timers/promises';
import { HTTPS_PORT } from '../lib/box.mjs';
import { Cable } from '../lib/cable.mjs';
import { expect, until } from '../lib/scenario.mjs';
import { onceAndInOrder } from './faults.mjs';

// For anything to come about again on a machine that is busy.
const AGAIN = 90_000;
// Between two messages of one person.
const BREATH = 250;
// Nobody is there: as long as a system takes to get an address.
const GAP = 1_500;

// `silent`: also out of a Wi-Fi that is still there and swallows everything. Firefox takes what it knows of such a
// network for true until its cache of names is over, and gathers candidates at its own address there alone.
const moves = (browser, silent, about) => ({
  about,
  limit_s: 600,
  async run(t) {
    let cable;
    // Firefox says of a WebSocket and of a connection that it lost what Chromium keeps to its console.
    t.provoked.complaints.push(/^The connection to wss:\/\/[^ ]*\/session was interrupted while the page was loading\.$/);
    t.provoked.complaints.push(/^Firefox can’t establish a connection to the server at wss:\/\/[^ ]*\/session\.$/);
    t.provoked.complaints.push(/^(?:WebRTC: )?ICE failed, /);
    await t.bubble({
      before: async (net) => {
        cable = new Cable(net);
        await cable.lay(['p1']);
      },
    });
    const [ada, grace] = await t.pair({ browsers: [browser, 'chromium'] });
    await t.step('both say: direct', () => Promise.all([ada.path('direct', AGAIN), grace.path('direct', AGAIN)]));
    await t.exchange(ada, grace, 'before');
    await Promise.all([ada, grace].map((person) => person.page.evaluate(noteArrivals)));
    const [one, two] = [new Writer(ada, 'ada'), new Writer(grace, 'grace')];
    const writing = [one.write(), two.write()];
    // They are waited for at the end, or never when something else fails before.
    for (const work of writing) work.catch(() => {});

    // One move to a network, both of them writing; `usable` resolves when the new way is, and the old one is gone.
    const move = async (what, network, key, usable) => {
      const path = network === 'wifi' ? 'direct' : 'relayed';
      await t.step(what, usable);
      const since = Date.now();
      await t.step('a message each way that was written since then is read', async () => {
        const [there, here] = await Promise.all([grace.page, ada.page].map((page, at) => readSince(page, since, [one, two][at])));
        t.note(`${key}_read_s`, { from_the_mover: there, by_the_mover: here });
      });
      await t.step(`both say: ${path}`, async () => {
        await Promise.all([ada.path(path, AGAIN), grace.path(path, AGAIN)]);
        t.note(`${key}_${path}_s`, (Date.now() - since) / 1000);
      });
      await t.step('the name has led to the other address of the box', () => until(
        `a session over the ${network}`,
        () => cable.carries('p1', network, HTTPS_PORT),
        AGAIN,
      ));
    };

    try {
      await move('the Wi-Fi is lost, the cable comes a moment later', 'cable', 'wifi_then_cable', async () => {
        await cable.leave('p1', 'wifi');
        await pause(GAP);
        await cable.join('p1', 'cable');
      });
      await move('back: the cable is pulled out, the Wi-Fi comes a moment later', 'wifi', 'cable_then_wifi', async () => {
        await cable.leave('p1', 'cable');
        await pause(GAP);
        await cable.join('p1', 'wifi');
      });
      await move('the cable comes, then the Wi-Fi is switched off', 'cable', 'cable_beside_wifi', async () => {
        await cable.join('p1', 'cable');
        await pause(GAP);
        await cable.leave('p1', 'wifi');
      });
      await move('back: the Wi-Fi comes, then the cable is pulled out', 'wifi', 'wifi_beside_cable', async () => {
        await cable.join('p1', 'wifi');
        await pause(GAP);
        await cable.leave('p1', 'cable');
      });
      if (silent) {
        await move('the Wi-Fi swallows everything and says nothing, the cable comes later', 'cable', 'silent_wifi', async () => {
          await cable.silence('p1', 'wifi');
          await pause(4 * GAP);
          await cable.join('p1', 'cable');
        });
        await move('back: the Wi-Fi speaks again, the cable is pulled out', 'wifi', 'silent_wifi_back', async () => {
          await cable.restore('p1', 'wifi');
          await cable.leave('p1', 'cable');
        });
      }
    } finally {
      one.stop();
      two.stop();
    }
    await t.step('both have stopped writing, and know that all has arrived', async () => {
      await Promise.all(writing);
      await Promise.all([
        ...one.wrote.map(({ mark }) => ada.delivery(mark, 'delivered', AGAIN)),
        ...two.wrote.map(({ mark }) => grace.delivery(mark, 'delivered', AGAIN)),
      ]);
    });
    t.note('messages', { from_the_mover: one.wrote.length, by_the_mover: two.wrote.length });
    await t.exchange(ada, grace, 'after');
    await onceAndInOrder(ada, grace);
  },
});

export const movesToCable = moves(
  'chromium',
  true,
  'a phone goes from Wi-Fi to cable and back, three times, with the page open: nothing is lost or comes twice',
);

export const movesToCableFirefox = moves(
  'firefox',
  false,
  'the same twice with Firefox, which is told of each change',
);

// Writes numbered messages until it is told to stop.
class Writer {
  #going = true;

  constructor(person, name) {
    this.person = person;
    this.name = name;
    this.wrote = [];
  }

  async write() {
    for (let number = 1; this.#going; number += 1) {
      const mark = `${this.name}-${String(number).padStart(4, '0')}`;
      const at = Date.now();
      await this.person.write(mark);
      this.wrote.push({ mark, at });
      await pause(BREATH);
    }
  }

  stop() {
    this.#going = false;
  }
}

// Seconds from `since` until the page showed a message that the other one wrote after it.
async function readSince(page, since, writer) {
  const end = performance.now() + AGAIN;
  for (;;) {
    const late = writer.wrote.filter(({ at }) => at >= since).map(({ mark }) => mark);
    const at = await page.evaluate((marks) => marks.map((mark) => window.bulleArrivals[mark]).find(Boolean) ?? null, late);
    if (at) return (at - since) / 1000;
    expect(performance.now() < end, () => `nothing that ${writer.name} wrote since the move has arrived; written: ${late}`);
    await pause(100);
  }
}

// Notes when each message of the other one comes onto the screen.
function noteArrivals() {
  window.bulleArrivals = {};
  new MutationObserver(() => {
    for (const message of document.querySelectorAll('[data-testid="message"][data-mine="false"]')) {
      const mark = /\[([\w-]+)\]/.exec(message.textContent)?.[1];
      window.bulleArrivals[mark] ??= Date.now();
    }
  }).observe(document.body, { childList: true, subtree: true });
}
