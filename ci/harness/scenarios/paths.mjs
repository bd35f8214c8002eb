// Which way messages take, by what the network lets through.

import { NO_TURN } from '../lib/box.mjs';
import { expect } from '../lib/scenario.mjs';

export const directWithoutMdns = {
  about: 'multicast dropped, no camera permission: two Chromium talk directly, thanks to STUN on the box',
  async run(t) {
    await t.bubble({ before: (net) => net.block('multicast') });
    const [ada, grace] = await t.pair();
    const began = performance.now();
    await t.step('both say: direct', () => Promise.all([ada.path('direct'), grace.path('direct')]));
    t.note('direct_after_open_s', (performance.now() - began) / 1000);
    await t.exchange(ada, grace, 'direct');
    await t.step('the browsers say so too', async () => {
      for (const person of [ada, grace]) {
        const pairs = await person.pairs();
        t.note(`${person.host}_pairs`, pairs);
        expect(pairs.length === 1, `${person.host} has ${pairs.length} connected connections, wanted one`);
        const [{ local, remote }] = pairs;
        expect(local.type !== 'relay' && remote.type !== 'relay', `${person.host} goes through a relay: ${JSON.stringify(pairs)}`);
      }
    });
    await t.step('the way did not change meanwhile', async () => {
      expect((await ada.pathNow()) === 'direct' && (await grace.pathNow()) === 'direct', 'the path is no longer direct');
    });
    await t.step('multicast was in use, and was dropped', async () => {
      const dropped = await t.net.blocked('multicast');
      t.note('multicast_dropped', dropped);
      expect(dropped > 0, 'no multicast packet was dropped: the browsers showed their addresses, so this proves nothing');
    });
  },
};

export const isolatedThroughTurn = {
  about: 'the access point keeps phones apart: they talk through TURN on the box',
  async run(t) {
    await t.bubble({ before: (net) => net.isolate(['p1', 'p2']) });
    const [ada, grace] = await t.pair();
    await t.step('both say: relayed', () => Promise.all([ada.path('relayed'), grace.path('relayed')]));
    await t.exchange(ada, grace, 'relayed');
    await t.step('the browsers say so too', async () => {
      for (const person of [ada, grace]) {
        const pairs = await person.pairs();
        t.note(`${person.host}_pairs`, pairs);
        expect(pairs.some(({ local, remote }) => local.type === 'relay' || remote.type === 'relay'), `${person.host} has no relayed pair: ${JSON.stringify(pairs)}`);
      }
    });
  },
};

export const noUdpThroughMailbox = {
  about: 'no UDP at all, and no TURN: they talk through the mailbox',
  async run(t) {
    await t.bubble({ settings: NO_TURN, before: (net) => net.block('udp') });
    const [ada, grace] = await t.pair();
    await t.step('both say: mailbox', () => Promise.all([ada.path('mailbox'), grace.path('mailbox')]));
    await t.exchange(ada, grace, 'mailbox');
    await t.step('no connection of WebRTC came about', async () => {
      const pairs = [...(await ada.pairs()), ...(await grace.pairs())];
      expect(pairs.length === 0, `connected all the same: ${JSON.stringify(pairs)}`);
      expect((await t.net.blocked('udp')) > 0, 'no datagram was dropped: nobody tried');
    });
    await t.step('UDP is back, and they find the direct way', async () => {
      await t.net.unblock('udp');
      await Promise.all([ada.path('direct', 60_000), grace.path('direct', 60_000)]);
    });
    await t.exchange(ada, grace, 'back');
  },
};

// UDP stops in the middle of a direct conversation. It must go on by TURN over one of `protocols`, and the first of them
// must be open to it; which of those that are a browser takes is its own affair. `blocks` is what else is in the way.
// Chromium and Firefox each reach the relay by a connection of their own, so both are shown.
const relayOver = (protocols, about, blocks) => ({
  about,
  limit_s: 240,
  async run(t) {
    await t.bubble({ before: (net) => Promise.all(blocks.map((what) => net.block(what))) });
    const [ada, grace] = await t.pair({ browsers: ['chromium', 'firefox'] });
    await t.step('both say: direct', () => Promise.all([ada.path('direct', RELAYED), grace.path('direct', RELAYED)]));
    await t.exchange(ada, grace, 'direct');
    await t.net.block('udp');
    await t.step('no datagram passes any more, and both say: relayed', () => Promise.all([ada.path('relayed', RELAYED), grace.path('relayed', RELAYED)]));
    const before = await relayed(t.box);
    await t.exchange(ada, grace, 'relayed');
    await t.step('the box has relayed it', async () => {
      expect((await relayed(t.box)) > before, 'the box relayed nothing meanwhile');
    });
    await t.step(`each browser reaches the relay over ${protocols[0].toUpperCase()}`, async () => {
      for (const person of [ada, grace]) {
        const pairs = await person.pairs();
        t.note(`${person.host}_pairs`, pairs);
        expect(pairs.length === 1 && protocols.includes(pairs[0].local.relayProtocol), `${person.host} goes another way: ${JSON.stringify(pairs)}`);
        expect(pairs[0].relays.includes(protocols[0]), `${person.host} was not let in over ${protocols[0]}: ${JSON.stringify(pairs)}`);
      }
      for (const what of ['udp', ...blocks]) expect((await t.net.blocked(what)) > 0, `nothing was dropped by '${what}': nobody tried`);
    });
  },
});

const relayed = async (box) => Number(/ bytes_relayed=(\d+) /.exec(await box.dump())[1]);

// Noticing that the way is gone takes a browser half a minute, and mending it as long.
const RELAYED = 90_000;

export const relayTcp = relayOver(['tcp', 'tls'], 'UDP stops: Chromium and Firefox go on through TURN over TCP', []);
export const relayTls = relayOver(['tls'], 'UDP stops, and the port of TURN is blocked: they go on through TURN over TLS, at the port of the page', ['turn-tcp']);

export const noWebrtcThroughMailbox = {
  about: 'one browser has no WebRTC, as in a lockdown: they talk through the mailbox',
  async run(t) {
    await t.bubble();
    const [ada, grace] = await t.step('two browsers start, one without WebRTC', () => Promise.all([
      t.person('Ada Tester', 'p1'),
      t.person('Grace Tester', 'p2', { webrtc: false }),
    ]));
    await t.step('both join', () => Promise.all([ada.join(t.link), grace.join(t.link)]));
    await t.step('each opens the conversation', () => Promise.all([ada.open(grace), grace.open(ada)]));
    await t.exchange(ada, grace, 'mailbox');
    await t.exchange(grace, ada, 'again');
    await t.step('both say: mailbox', () => Promise.all([ada.path('mailbox'), grace.path('mailbox')]));
  },
};

export const chromiumFirefox = {
  about: 'Chromium and Firefox understand each other, both ways',
  limit_s: 120,
  async run(t) {
    await t.bubble();
    const [ada, grace] = await t.pair({ browsers: ['chromium', 'firefox'] });
    await t.exchange(ada, grace, 'first');
    await t.step('both say: direct', () => Promise.all([ada.path('direct'), grace.path('direct')]));
    await t.exchange(ada, grace, 'direct');
    await t.exchange(grace, ada, 'turned');
  },
};

export const ipv6Alone = {
  about: 'a bubble without IPv4: directly, and through TURN between phones that are kept apart',
  async run(t) {
    await t.bubble({
      family: 6,
      phones: ['p1', 'p2', 'p3'],
      before: async (net) => {
        await net.block('multicast');
        // Isolation holds between two isolated phones: p1 still reaches p2.
        await net.isolate(['p1', 'p3']);
      },
    });
    const [ada, grace] = await t.pair();
    await t.step('both say: direct', () => Promise.all([ada.path('direct'), grace.path('direct')]));
    await t.exchange(ada, grace, 'direct');
    const kim = await t.step('a third one joins, kept apart from the first', async () => {
      const third = await t.person('Kim Tester', 'p3');
      await third.join(t.link);
      return third;
    });
    await t.step('these two say: relayed', async () => {
      await ada.back();
      await Promise.all([ada.open(kim), kim.open(ada)]);
      await Promise.all([ada.path('relayed'), kim.path('relayed')]);
    });
    await t.exchange(ada, kim, 'relayed');
  },
};
