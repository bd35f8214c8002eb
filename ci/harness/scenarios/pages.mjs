// How every page looks at the sizes and in the colours that people have, whether assistive
// technology can use it, and whether a keyboard is enough.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect } from '../lib/scenario.mjs';
import { BOX_NAME } from '../lib/net.mjs';
import { HTTP_PORT, ORIGIN } from '../lib/box.mjs';

const SIZES = {
  phone: { width: 393, height: 760 },
  small: { width: 320, height: 568 },
  desktop: { width: 1280, height: 800 },
};
const COLOURS = ['light', 'dark'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const pages = {
  about: 'each page at phone and desktop size, light, dark and right-to-left; axe-core; keyboard alone',
  limit_s: 240,
  async run(t) {
    await t.bubble({ phones: ['p1', 'p2', 'p3'] });
    const shots = `${t.out}/shots`;
    mkdirSync(shots, { recursive: true });
    const [ada, grace] = await t.step('two browsers start', () => Promise.all([
      t.person('Ada Tester', 'p1', { trace: false, screen: SIZES.desktop }),
      t.person('غريس', 'p2', { trace: false }),
    ]));
    const look = (person, name) => inAllShapes(person, `${shots}/${name}`);

    await t.step('the explaining page without encryption', async () => {
      await ada.page.goto(`http://${BOX_NAME}:${HTTP_PORT}/`);
      await look(ada, 'unencrypted');
    });
    await t.step('the page that tests a phone, and by keyboard', async () => {
      await ada.page.goto(`${ORIGIN}/check`);
      await ada.shown('[data-testid="check-again"][aria-disabled="false"]', 90_000);
      await look(ada, 'check');
      for (const id of ['check-microphone', 'check-again', 'check-copy']) await tabTo(ada, id);
    });
    await t.step('the page on which the box is claimed, and by keyboard', async () => {
      await ada.page.goto(`${ORIGIN}/claim`);
      await ada.shown('[data-testid="claim-code"]');
      await look(ada, 'claim');
      for (const id of ['claim-code', 'claim-clock', 'claim-send']) await tabTo(ada, id);
      await ada.page.keyboard.press('Enter');
      await ada.page.waitForSelector('[data-testid="claim-error"]:not(:empty)');
      await look(ada, 'claim-nothing-entered');
    });
    await t.step('the join page without a link', async () => {
      await ada.page.goto(`${ORIGIN}/`);
      await ada.shown('[data-testid="join-link"]');
      await look(ada, 'join-without-link');
    });
    await t.step('starting a bubble', async () => {
      await ada.page.click('[data-testid="start-bubble"]');
      await ada.shown('[data-testid="broadcast"]');
      await look(ada, 'start');
      for (const id of ['pseudonym', 'broadcast', 'join']) await tabTo(ada, id);
    });
    await t.step('the join page with a link, without its secret in the address bar', async () => {
      // A new fragment alone would not load the page anew.
      await ada.page.goto('about:blank');
      await ada.page.goto(t.link);
      await ada.shown('[data-testid="pseudonym"]');
      await ada.page.waitForFunction(() => location.hash === '', null, { timeout: 5_000 });
      await look(ada, 'join');
    });
    await t.step('home, alone', async () => {
      await ada.page.fill('[data-testid="pseudonym"]', ada.name);
      await ada.page.click('[data-testid="join"]');
      await ada.here();
      await look(ada, 'home-alone');
    });
    await t.step('the invitation', async () => {
      await ada.page.click('[data-testid="invite"]');
      await ada.shown('[data-testid="invite-link"]');
      await look(ada, 'invite');
      const link = await ada.page.$eval('[data-testid="invite-link"]', (element) => element.value ?? element.href ?? element.textContent);
      expect((link || '').trim().split('#')[1] === t.link.split('#')[1], 'the invitation shown is not the one that was used');
      await ada.page.keyboard.press('Escape');
    });
    await t.step('home, with somebody', async () => {
      await grace.join(t.link);
      await ada.sees(grace);
      await look(ada, 'home');
    });
    await t.step('an empty conversation', async () => {
      await ada.open(grace);
      await look(ada, 'conversation-empty');
    });
    await t.step('a conversation', async () => {
      await grace.open(ada);
      await ada.write('one', 'Hello, is this thing on?');
      await grace.reads('one');
      await grace.write('two', 'مرحبا، نعم، أسمعك جيدا');
      await ada.reads('two');
      await ada.write('three', 'A longer one, to see how lines break on a small screen: the box carries what it cannot read, keeps it as short as it can, and forgets it by itself. https://example.invalid/averyveryverylongwordthatcannotbebrokenanywhereatall');
      await grace.reads('three');
      await ada.path('direct');
      await look(ada, 'conversation');
      await look(grace, 'conversation-arabic');
    });
    await t.step('the safety number, and by keyboard', async () => {
      // A button that was pressed with the mouse has the focus and no ring.
      await ada.page.evaluate(() => document.getElementById('talk-title').focus());
      await tabTo(ada, 'verify');
      await ada.page.keyboard.press('Enter');
      await ada.shown('[data-testid="safety-number"]');
      await look(ada, 'safety');
      await tabTo(ada, 'safety-same');
      await ada.page.keyboard.press('Enter');
      await ada.shown('[data-testid="verified"]');
      await look(ada, 'conversation-verified');
    });
    await t.step('the box is gone', async () => {
      await t.net.unplug('box');
      await t.net.unplug('p2');
      await ada.write('four', 'Can you still read me?');
      await ada.path('none', 60_000);
      await look(ada, 'no-path');
      await t.net.plug('box');
      await t.net.plug('p2');
      await ada.delivery('four', 'delivered', 60_000);
    });
    const kim = await t.step('a third browser, with a keyboard alone', () => t.person('Kim Keys', 'p3', { trace: false, screen: SIZES.desktop }));
    await t.step('keyboard: join', async () => {
      await kim.page.goto(t.link);
      await kim.shown('[data-testid="pseudonym"]');
      await tabTo(kim, 'pseudonym');
      await kim.page.keyboard.type(kim.name);
      await tabTo(kim, 'join');
      await kim.page.keyboard.press('Enter');
      await kim.here();
    });
    await t.step('keyboard: open a conversation, write, and go back', async () => {
      await kim.sees(ada);
      await tabTo(kim, 'peer', ada.name);
      await kim.page.keyboard.press('Enter');
      await kim.shown('[data-testid="message-input"]');
      await tabTo(kim, 'message-input');
      await kim.page.keyboard.type('By keyboard [keys-1]');
      await kim.page.keyboard.press('Enter');
      await kim.delivery('keys-1', 'delivered');
      await kim.page.keyboard.type('By the button [keys-2]');
      await tabTo(kim, 'send');
      await kim.page.keyboard.press('Enter');
      await kim.delivery('keys-2', 'delivered');
      await tabTo(kim, 'back');
      await kim.page.keyboard.press('Enter');
      await kim.page.waitForFunction(() => !document.querySelector('[data-testid="message-input"]')?.checkVisibility(), null, { timeout: 5_000 });
    });
    await t.step('keyboard: unread messages are counted at home', async () => {
      await ada.back();
      await ada.page.waitForFunction(
        () => [...document.querySelectorAll('[data-testid="peer"]')].some((peer) => Number(peer.dataset.unread) === 2),
        null,
        { timeout: 10_000 },
      );
      await look(ada, 'home-unread');
    });
  },
};

// One screenshot and one reading by axe-core per size and colour, and one from right to left.
async function inAllShapes(person, file) {
  const { page } = person;
  const original = page.viewportSize();
  const violations = [];
  const shoot = async (shape) => {
    await page.screenshot({ path: `${file}-${shape}.png` });
    for (const violation of await axe(person)) violations.push(`${shape}: ${violation}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) violations.push(`${shape}: the page is ${wide} px wider than the screen`);
  };
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of size === 'small' ? ['light'] : COLOURS) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await shoot(`${size}-${colorScheme}`);
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(SIZES.phone);
  await page.evaluate(() => { document.documentElement.dir = 'rtl'; });
  await shoot('phone-rtl');
  await page.evaluate(() => document.documentElement.removeAttribute('dir'));
  await page.setViewportSize(original);
  if (violations.length) throw new Error(`${file.split('/').pop()}:\n${[...new Set(violations)].join('\n')}`);
}

// Through the debugger, since the page's own policy lets no foreign script in.
async function axe({ phone, page }) {
  phone.debugger ??= await phone.context.newCDPSession(page);
  const { result, exceptionDetails } = await phone.debugger.send('Runtime.evaluate', {
    expression: `${AXE}\naxe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, help, nodes }) => id + ' (' + help + '): ' + nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 160) + ' ' + failureSummary.split('\\n')[1]).join(' | ')))`,
    awaitPromise: true,
    returnByValue: true,
  });
  if (exceptionDetails) throw new Error(`axe-core: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
  return result.value;
}

// Tab until the focus is there; on the way, each focused element must show that it is.
async function tabTo({ page, name }, id, text) {
  for (let presses = 0; presses < 30; presses += 1) {
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return {
        id: element.dataset.testid,
        text: element.textContent,
        what: element.tagName,
        // What the page focuses itself, such as a heading for screen readers, needs no ring.
        visible: element === document.body || element.tabIndex < 0 || style.outlineStyle !== 'none' || style.boxShadow !== 'none',
      };
    });
    expect(focus.visible, `${name}: nothing shows that ${focus.id ?? focus.what} has the focus`);
    if (focus.id === id && (!text || focus.text.includes(text))) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`${name}: 30 presses of Tab did not reach ${id}`);
}
