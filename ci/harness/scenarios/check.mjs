// The page that tests a phone, where all is well and where it is not.

import { fileURLToPath } from 'node:url';
import { HTTPS_PORT, ORIGIN } from '../lib/box.mjs';
import { leaks } from '../lib/leaks.mjs';
import { BOX_NAME } from '../lib/net.mjs';
import { expect, expectEqual } from '../lib/scenario.mjs';

const PROXY = fileURLToPath(new URL('../lib/proxy.mjs', import.meta.url));
const PATIENCE = 90_000;
const PAGE = `${ORIGIN}/check`;

const WELL = {
  secure: 'good good',
  worker: 'good good',
  websocket: 'good good',
  mailbox: 'good websocket',
  clock: 'good good',
  stun: 'good good',
  direct: 'good good',
  udp: 'good good',
  tcp: 'good good',
  tls: 'good good',
  vpn: 'good good',
  microphone: 'idle idle',
};
const WITHOUT_UDP = { ...WELL, stun: 'bad bad', udp: 'bad bad', vpn: 'note udp' };

export const testPhone = {
  about: 'the page that tests a phone, in Chromium and Firefox: all well, UDP blocked, a wrong clock, WebSockets refused, a certificate that was clicked away',
  limit_s: 600,
  async run(t) {
    await t.bubble({
      phones: ['p1', 'p2', 'p3', 'p4', 'p5', 'proxy'],
      before: async (net) => ['p3', 'p4'].forEach((phone) => net.lead(phone, 'proxy')),
    });
    const [ada, grace] = await t.step('Chromium and Firefox start', () => Promise.all([
      t.person('Ada Tester', 'p1'),
      t.person('Grace Tester', 'p2', { browser: 'firefox' }),
    ]));
    const both = [ada, grace];
    await t.step('the page is found from the first one, and opens beside it', async () => {
      await ada.page.goto(t.link);
      await ada.shown('[data-testid="pseudonym"]');
      const [beside] = await Promise.all([ada.phone.context.waitForEvent('page'), ada.page.click('a[href="/check"]')]);
      expect(beside.url() === PAGE, `it led to ${beside.url()}`);
      // Closed in the middle it would have lost its connection, and be waited for.
      await beside.waitForSelector('[data-testid="check-again"][aria-disabled="false"]', { timeout: PATIENCE });
      await beside.close();
    });
    await t.step('all is well', async () => {
      await Promise.all(both.map((person) => person.page.goto(PAGE)));
      await Promise.all(both.map((person) => finds(person, WELL)));
      for (const person of both) {
        const said = await person.page.textContent('[data-testid="check-progress"]');
        expect(/Everything works/.test(said), `${person.host} ends with: ${said}`);
      }
    });
    await t.step('nothing is left behind at the box', async () => {
      const dump = await t.box.dump();
      expect(/\bheld sessions=0 .* envelopes=0 /.test(dump) && / turn_accounts=0 /.test(dump), `the box holds:\n${dump}`);
    });
    await t.step('the result can be copied, and gives nobody away', async () => {
      for (const person of both) {
        // Where the clipboard refuses, the text is shown instead; so it can be read here.
        await person.page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); });
        await person.page.click('[data-testid="check-copy"]');
        await person.shown('[data-testid="check-result"]');
        const text = await person.page.evaluate(() => document.querySelector('[data-testid="check-result"]').value);
        expect(/Relay over TLS: works/.test(text), `${person.host} copied:\n${text}`);
        expectEqual(leaks(text.split('\n'), { words: [...t.planted, BOX_NAME] }), [], `what ${person.host} copied gives away`);
      }
    });
    await t.step('a microphone is asked for when the person wants it', async () => {
      await ada.page.click('[data-testid="check-microphone"]');
      await ada.page.waitForSelector('[data-check="microphone"]:is([data-outcome="refused"], [data-outcome="missing"])', { timeout: PATIENCE });
    });
    await t.step('the clock of the phone is two hours ahead', async () => {
      for (const person of both) {
        await person.page.evaluate(() => {
          const real = Date.now;
          Date.now = () => real() + 2 * 3_600_000;
        });
      }
      await again(both, { ...WELL, clock: 'note ahead' });
      await says(both, 'clock', /2 hours ahead/, /automatic date and time/);
    });
    await t.step('UDP is blocked', async () => {
      await t.net.block('udp');
      await Promise.all(both.map((person) => person.page.goto(PAGE)));
      await Promise.all(both.map((person) => finds(person, WITHOUT_UDP)));
      await says(both, 'stun', /does not answer over UDP/, /VPN.*through the relay over TCP/s);
      await says(both, 'vpn', /probably a VPN/, /Switch off VPN/);
      await ada.page.setViewportSize({ width: 420, height: 800 });
      for (const colorScheme of ['light', 'dark']) {
        await ada.page.emulateMedia({ colorScheme });
        await ada.page.screenshot({ path: `${t.out}/without-udp-${colorScheme}.png`, fullPage: true });
      }
    });
    await t.step('the port of TURN is blocked as well', async () => {
      await t.net.block('turn-tcp');
      await again(both, { ...WITHOUT_UDP, tcp: 'bad bad' });
      await t.net.unblock('turn-tcp');
      await t.net.unblock('udp');
    });
    await t.step('both browsers go', () => Promise.all(both.map((person) => person.page.goto('about:blank'))));

    await t.step('a proxy that refuses every WebSocket', async () => {
      const service = t.net.service('proxy', 'node', [PROXY, ...t.box.identity, t.authority, t.net.box, BOX_NAME, String(HTTPS_PORT)], {
        log: `${t.out}/proxy.log`,
      });
      await service.line(/^listening/, PATIENCE);
    });
    // Firefox says of each refused WebSocket what Chromium keeps to its console.
    t.provoked.complaints.push(/^Firefox can’t establish a connection to the server at wss:\/\/[^ ]*\/session\.$/);
    const behind = await t.step('Chromium and Firefox behind it', () => Promise.all([
      t.person('Kim Tester', 'p3'),
      t.person('Lou Tester', 'p4', { browser: 'firefox' }),
    ]));
    await t.step('messages go by plain requests', async () => {
      await Promise.all(behind.map((person) => person.page.goto(PAGE)));
      // The relay is not at the proxy, so that the rest is another matter.
      const { secure, worker, clock } = WELL;
      await Promise.all(behind.map((person) => finds(person, { secure, worker, clock, websocket: 'note note', mailbox: 'good requests' })));
      await says(behind, 'websocket', /refuses it/, /iPhone.*proxy/s);
    });

    const max = await t.step('a browser whose owner clicked the warning away', () => t.person('Max Tester', 'p5', { authority: undefined, options: { ignoreHTTPSErrors: true } }));
    await t.step('the relay over TLS is refused there, and the page says why', async () => {
      await max.page.goto(PAGE);
      await finds(max, { ...WELL, tls: 'note note' });
      await says([max], 'tls', /does not take it/, /certificate/);
    });
  },
};

// Waits until everything was tested, and compares.
async function finds(person, wanted) {
  await person.shown('[data-testid="check-again"][aria-disabled="false"]', PATIENCE);
  const found = await person.page.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-check]')].map(({ dataset }) => [dataset.check, `${dataset.state} ${dataset.outcome}`])));
  const looked = Object.fromEntries(Object.keys(wanted).map((name) => [name, found[name]]));
  expectEqual(looked, wanted, `${person.host} (${person.phone.kind}) finds`);
}

async function again(persons, wanted) {
  await Promise.all(persons.map(async (person) => {
    await person.page.click('[data-testid="check-again"]');
    const { microphone: _, ...rest } = wanted;
    await finds(person, rest);
  }));
}

// What a row says, and what it advises.
async function says(persons, row, found, advice) {
  for (const person of persons) {
    const text = await person.page.evaluate((name) => ['found', 'advice'].map((part) => document.querySelector(`[data-check="${name}"] .${part}`).textContent), row);
    expect(found.test(text[0]) && advice.test(text[1]), `${person.host} says of ${row}: ${text.join(' / ')}`);
  }
}
