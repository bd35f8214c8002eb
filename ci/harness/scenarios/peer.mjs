// The box as a WebRTC peer: sessions over a data channel, where WebSockets are refused.

import { createHash } from 'node:crypto';
import { expect, until } from '../lib/scenario.mjs';
import { numbered, onceAndInOrder, writeAll } from './faults.mjs';
import { arrived, between } from './refused.mjs';

const PATIENCE = 120_000;
const DATA_CHANNELS = / peers=2 polls=0 /;

export const webrtcSession = {
  about: 'a proxy refuses every WebSocket: sessions go over data channels to the box, to no other box, and by requests when UDP is cut, with nothing lost',
  limit_s: 600,
  async run(t) {
    await t.bubble({
      phones: ['p1', 'p2', 'p3', 'proxy'],
      // No way from phone to phone: whatever they write goes over their sessions.
      settings: '\n[turn]\nlisten = []\n',
      pinned: true,
      before: async (net) => {
        ['p1', 'p2', 'p3'].forEach((phone) => net.lead(phone, 'proxy'));
        await net.isolate(['p1', 'p2', 'p3']);
      },
    });
    const proxy = await between(t);
    // So says Firefox when it finds no way over UDP, which is what it is to find.
    t.provoked.complaints.push(/^ICE failed, add a STUN server and see about:webrtc for more details$/);
    const asked = () => proxy.lines.filter((line) => /^asked for \/session\/(open|send|poll)/.test(line)).length;
    const carried = (what, pattern) => t.step(what, () => until(what, async () => pattern.test(await t.box.dump()), PATIENCE));
    const [ada, grace] = await t.step('Chromium and Firefox start', () => Promise.all([
      t.person('Ada Tester', 'p1'),
      t.person('Grace Tester', 'p2', { browser: 'firefox' }),
    ]));
    await t.step('both join', () => Promise.all([ada.join(t.link), grace.join(t.link)]));
    await carried('the box carries both sessions by data channels', DATA_CHANNELS);
    const before = asked();
    t.note('requests_before', before);
    await t.step('each opens the conversation', () => Promise.all([ada.open(grace), grace.open(ada)]));
    await t.exchange(ada, grace, 'channel');
    await t.step('both say: mailbox', () => Promise.all([ada.path('mailbox', PATIENCE), grace.path('mailbox', PATIENCE)]));
    const [there, back] = [numbered('ada', 8), numbered('grace', 8)];
    await t.step('both write at once', () => Promise.all([writeAll(ada, there), writeAll(grace, back)]));
    await t.step('everything arrives', () => arrived(ada, grace, there, back));
    await t.step('it was the data channels, and no plain request', async () => {
      expect(asked() === before, `the proxy saw ${asked() - before} plain requests of sessions`);
      expect(DATA_CHANNELS.test(await t.box.dump()), 'the box has not two sessions by data channels');
      expect(!proxy.lines.some((line) => /^passed/.test(line)), 'the proxy let a WebSocket pass');
    });

    const eve = await t.step('a third one whose invitation names another box', async () => {
      const person = await t.person('Eve Tester', 'p3');
      await person.join(otherPin(t.link));
      t.planted.push(otherPin(t.link).split('#')[1]);
      return person;
    });
    await carried('she goes by requests', / peers=2 polls=1 /);
    await t.step('and is told', () => eve.page.waitForFunction(
      () => document.body.textContent.includes('not the box of your invitation'), undefined, { timeout: PATIENCE },
    ));

    const [from, to] = [numbered('ada-cut', 6), numbered('grace-cut', 6)];
    await t.step('UDP is cut, and both keep writing', async () => {
      await t.net.block('udp');
      await Promise.all([writeAll(ada, from), writeAll(grace, to)]);
    });
    await t.step('everything arrives, and nothing twice', () => arrived(ada, grace, from, to));
    await onceAndInOrder(ada, grace);
    await carried('all go by requests', / peers=0 polls=3 /);
    expect(asked() > before, 'the proxy saw no plain request of a session');
    expect(await t.net.blocked('udp') > 0, 'there was no UDP to be cut');

    await t.step('UDP is back', () => t.net.unblock('udp'));
    await carried('both go back to data channels', / peers=2 polls=1 /);
    await t.exchange(ada, grace, 'again');
    await onceAndInOrder(ada, grace);
  },
};

// The same link with another pin: as a good link to another box would be.
function otherPin(link) {
  const [page, fragment] = link.split('#');
  const known = Buffer.from(fragment, 'base64url').subarray(1, -4);
  expect(known.length === 64, 'the link has no pin');
  known[63] ^= 1;
  const sum = createHash('sha256').update('bulle/1 invite checksum\0').update(known).digest().subarray(0, 4);
  return `${page}#${Buffer.concat([Buffer.from([2]), known, sum]).toString('base64url')}`;
}
