// The page as a person uses it: join, see who is here, write, read. Everything is found by its
// `data-testid`, and every wait is for something that the page shows.

import { PATIENCE } from './phone.mjs';
import { selectedPairs } from './rtc.mjs';

const at = (id, attributes = '') => `[data-testid="${id}"]${attributes}`;

export class Person {
  constructor(name, phone) {
    this.name = name;
    this.phone = phone;
    this.page = phone.page;
    this.wrote = [];
  }

  // Opens a join link and enters the pseudonym.
  async join(link) {
    await this.page.goto(link);
    await this.page.fill(at('pseudonym'), this.name);
    await this.page.click(at('join'));
    await this.here();
  }

  // In the bubble, with the box.
  async here(limit = PATIENCE) {
    await this.shown(at('me'), limit);
    await this.linked('up', limit);
  }

  linked(state, limit = PATIENCE) {
    return this.page.waitForSelector(at('link', `[data-link="${state}"]`), { state: 'attached', timeout: limit });
  }

  // Until the other one's name stands in the list.
  sees(other, limit = PATIENCE) {
    return this.shown(this.#entry(other), limit);
  }

  async open(other) {
    await this.sees(other);
    await this.page.click(this.#entry(other));
    await this.shown(at('message-input'));
  }

  back() {
    return this.page.click(at('back'));
  }

  // Writes a message; it is told from others by the `[mark]` within it.
  async write(mark, text = '') {
    const whole = `${text} [${mark}]`.trim();
    await this.page.fill(at('message-input'), whole);
    await this.page.click(at('send'));
    this.wrote.push(whole);
    await this.#message({ mark, mine: true }, PATIENCE, 'to stand in the conversation');
  }

  // Until a message with this mark came from the other side.
  reads(mark, limit = PATIENCE) {
    return this.#message({ mark, mine: false }, limit, 'to arrive');
  }

  // Until the message with this mark has come to the given state: 'deposited' also counts as
  // reached when it is 'delivered' already.
  delivery(mark, state, limit = PATIENCE) {
    const states = state === 'deposited' ? ['deposited', 'delivered'] : [state];
    return this.#message({ mark, mine: true, states }, limit, `to be ${state}`);
  }

  // Every message of the open conversation, in the order shown.
  async conversation() {
    const shown = await this.page.evaluate(() => [...document.querySelectorAll('[data-testid="message"]')].map((message) => ({
      mine: message.dataset.mine === 'true',
      delivery: message.dataset.delivery,
      mark: /\[([\w-]+)\]/.exec(message.textContent)?.[1],
    })));
    return {
      sent: shown.filter((message) => message.mine).map((message) => message.mark),
      received: shown.filter((message) => !message.mine).map((message) => message.mark),
      deliveries: shown.filter((message) => message.mine).map((message) => message.delivery),
    };
  }

  // Until the conversation says that it goes this way: 'direct', 'relayed', 'mailbox', 'none'.
  path(kind, limit = PATIENCE) {
    return this.shown(at('path', `[data-path="${kind}"]`), limit);
  }

  // What the page says about its way just now.
  pathNow() {
    return this.page.getAttribute(at('path'), 'data-path');
  }

  // What the browser itself says about its way.
  pairs() {
    return this.page.evaluate(selectedPairs);
  }

  // What outlives the page or is seen beside it: address, title, history and every kind of storage.
  kept() {
    return this.page.evaluate(async () => {
      const open = async (name) => {
        const request = indexedDB.open(name);
        await new Promise((resolve) => { request.onsuccess = resolve; request.onerror = resolve; });
        return [...(request.result?.objectStoreNames ?? [])];
      };
      const safely = async (work) => {
        try {
          return await work();
        } catch {
          return null;
        }
      };
      return {
        address: location.href,
        title: document.title,
        state: history.state,
        cookies: await safely(() => document.cookie),
        local: await safely(() => ({ ...localStorage })),
        session: await safely(() => ({ ...sessionStorage })),
        databases: await safely(async () => Object.fromEntries(await Promise.all(
          (await indexedDB.databases()).map(async ({ name }) => [name, await open(name)]),
        ))),
        caches: await safely(() => caches.keys()),
      };
    });
  }

  shown(selector, limit = PATIENCE) {
    return this.page.waitForSelector(selector, { timeout: limit });
  }

  async screenshot(file) {
    await this.page.screenshot({ path: file });
  }

  #entry(other) {
    return `${at('peer')}:has-text("${other.name ?? other}")`;
  }

  async #message(wanted, limit, what) {
    try {
      await this.page.waitForFunction(
        ({ mark, mine, states }) => [...document.querySelectorAll('[data-testid="message"]')].some(
          (message) => message.textContent.includes(`[${mark}]`)
            && message.dataset.mine === String(mine)
            && (!states || states.includes(message.dataset.delivery)),
        ),
        wanted,
        { timeout: limit },
      );
    } catch (error) {
      const shown = await this.conversation().catch(() => null);
      throw new Error(`${this.name} waited ${limit / 1000} s for [${wanted.mark}] ${what}; shown: ${JSON.stringify(shown)}\n${error.message.split('\n')[0]}`);
    }
  }
}
