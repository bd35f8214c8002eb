// Networks that refuse what the client likes best.

import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HTTPS_PORT } from '../lib/box.mjs';
import { BOX_NAME } from '../lib/net.mjs';
import { expect, until } from '../lib/scenario.mjs';
import { numbered, onceAndInOrder, writeAll } from './faults.mjs';

const PROXY = fileURLToPath(new URL('../lib/proxy.mjs', import.meta.url));
const PATIENCE = 90_000;

export const noWebsocket = {
  about: 'a proxy refuses every WebSocket, and there is no WebRTC: they talk by plain requests, whatever is cut or lost, and go back when it is offered',
  limit_s: 400,
  async run(t) {
    await t.bubble({
      phones: ['p1', 'p2', 'proxy'],
      before: async (net) => ['p1', 'p2'].forEach((phone) => net.lead(phone, 'proxy')),
    });
    const proxy = await between(t);
    const said = (pattern) => proxy.lines.filter((line) => pattern.test(line)).length;
    const [ada, grace] = await t.step('Chromium and Firefox start', () => Promise.all([
      t.person('Ada Tester', 'p1', { webrtc: false }),
      t.person('Grace Tester', 'p2', { webrtc: false, browser: 'firefox' }),
    ]));
    await t.step('both join', () => Promise.all([ada.join(t.link), grace.join(t.link)]));
    await t.step('each opens the conversation', () => Promise.all([ada.open(grace), grace.open(ada)]));
    await t.exchange(ada, grace, 'refused');
    await t.step('both say: mailbox', () => Promise.all([ada.path('mailbox', PATIENCE), grace.path('mailbox', PATIENCE)]));
    await t.step('both were refused, and are connected all the same', async () => {
      expect(said(/^refused/) >= 2, `the proxy refused ${said(/^refused/)} WebSockets, wanted at least 2`);
      expect(said(/^passed/) === 0, 'the proxy let a WebSocket pass');
      expect(/ polls=2 /.test(await t.box.dump()), 'the box has no two sessions by requests');
    });

    const [from, to] = [numbered('ada', 6), numbered('grace', 6)];
    await t.step('the connection is cut for 8 s, and both keep writing', async () => {
      await t.net.unplug('p2');
      const back = pause(8_000).then(() => t.net.plug('p2'));
      await Promise.all([back, writeAll(ada, from), writeAll(grace, to)]);
    });
    await t.step('everything arrives', () => arrived(ada, grace, from, to));
    await onceAndInOrder(ada, grace);

    const [more, others] = [numbered('ada-lost', 6), numbered('grace-lost', 6)];
    await t.step('answers are lost while both write', async () => {
      proxy.write('lose 12\n');
      await Promise.all([writeAll(ada, more), writeAll(grace, others)]);
      await proxy.line(/^lost .* 0 to go/, PATIENCE);
    });
    await t.step('everything arrives, and nothing twice', () => arrived(ada, grace, more, others));
    await onceAndInOrder(ada, grace);

    await t.step('WebSockets are offered, and both go back to them', async () => {
      proxy.write('offer\n');
      await until('two sessions, none by requests', async () => {
        const dump = await t.box.dump();
        return said(/^passed/) >= 2 && /\bheld sessions=2 /.test(dump) && / polls=0 /.test(dump);
      }, PATIENCE);
    });
    await t.exchange(ada, grace, 'offered');
    await t.step('they are refused again, and those that are open are cut', async () => {
      proxy.write('refuse\n');
      await until('two sessions by requests', async () => / polls=2 /.test(await t.box.dump()), PATIENCE);
    });
    await t.exchange(ada, grace, 'again');
    await onceAndInOrder(ada, grace);
  },
};

// A proxy between the phones and the box, which refuses WebSockets until it is told otherwise.
export async function between(t) {
  // Firefox says of each refused WebSocket what Chromium keeps to its console.
  t.provoked.complaints.push(/^Firefox can’t establish a connection to the server at wss:\/\/[^ ]*\/session\.$/);
  // The same of one that is cut while the page goes on.
  t.provoked.complaints.push(/^The connection to wss:\/\/[^ ]*\/session was interrupted while the page was loading\.$/);
  return t.step('a proxy between the phones and the box', async () => {
    const service = t.net.service('proxy', 'node', [PROXY, ...t.box.identity, t.authority, t.net.box, BOX_NAME, String(HTTPS_PORT)], {
      log: `${t.out}/proxy.log`,
    });
    await service.line(/^listening/, PATIENCE);
    return service;
  });
}

export async function arrived(ada, grace, from, to) {
  await Promise.all([...from.map((mark) => grace.reads(mark, PATIENCE)), ...to.map((mark) => ada.reads(mark, PATIENCE))]);
  await Promise.all([
    ...from.map((mark) => ada.delivery(mark, 'delivered', PATIENCE)),
    ...to.map((mark) => grace.delivery(mark, 'delivered', PATIENCE)),
  ]);
}
