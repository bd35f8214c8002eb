// Runs one scenario: gives it a bubble, tells its steps, keeps what explains a failure, and always
// takes down what was put up.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Box } from './box.mjs';
import { leaks } from './leaks.mjs';
import { Net } from './net.mjs';
import { Person } from './page.mjs';
import { chromiumPhone, firefoxPhone } from './phone.mjs';

export const OUT = process.env.BULLE_E2E_OUT ?? '/ws/out/e2e';

// Gives `{ name, passed, seconds, steps, error?, notes }`; never throws.
export async function runScenario(name, scenario, tell) {
  const began = performance.now();
  const stage = new Stage(name, began, tell);
  const limit = scenario.limit_s ?? 90;
  let error;
  let timer;
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the scenario took longer than ${limit} s`)), limit * 1000);
    });
    const played = scenario.run(stage).then(() => stage.verify());
    played.catch(() => {}); // When the time is over, its own end is of no more interest.
    await Promise.race([played, late]);
  } catch (reason) {
    error = reason;
    await stage.keepEvidence();
  } finally {
    clearTimeout(timer);
    await stage.down();
  }
  const result = {
    name,
    passed: !error,
    seconds: Math.round((performance.now() - began) / 100) / 10,
    steps: stage.steps,
    notes: stage.notes,
    ...(error ? { error: error.stack ?? String(error), during: stage.doing } : {}),
  };
  writeFileSync(`${stage.out}/result.json`, `${JSON.stringify(result, null, 2)}\n`);
  return result;
}

let stages = 0;

// What a scenario works with.
export class Stage {
  constructor(name, began, tell) {
    this.name = name;
    this.began = began;
    this.tell = tell;
    this.steps = [];
    this.doing = 'the beginning';
    this.notes = {};
    this.people = [];
    this.planted = [];
    // What a scenario sent out itself, to see it caught, and what browsers say of what it does to them.
    this.provoked = { packets: 0, names: [], complaints: [] };
    // Names that a browser asks for by itself and no setting stops, whatever page is open.
    this.ofBrowser = [];
    this.out = `${OUT}/${name}`;
    this.dir = `/tmp/e2e/${name}`;
    rmSync(this.out, { recursive: true, force: true });
    rmSync(this.dir, { recursive: true, force: true });
    mkdirSync(this.out, { recursive: true });
    mkdirSync(this.dir, { recursive: true });
    this.tag = `e${++stages}`;
  }

  // One line of progress, with the time since the scenario began.
  async step(what, work) {
    this.doing = what;
    const at = performance.now();
    const value = await work?.();
    const seconds = (performance.now() - at) / 1000;
    this.steps.push({ what, seconds: Math.round(seconds * 100) / 100 });
    this.tell(`${((performance.now() - this.began) / 1000).toFixed(1).padStart(6)} s  ${what}`);
    return value;
  }

  // A figure or fact for the report.
  note(key, value) {
    this.notes[key] = value;
  }

  // Network, box and an invitation. `phones` are the names of the phones' namespaces, `settings` more lines for the box.
  // A `pinned` invitation says by what the box is known as a WebRTC peer.
  async bubble({ phones = ['p1', 'p2'], routeless = [], family = 4, settings, pinned = false, broadcast = false, before = async () => {} } = {}) {
    await this.step(`a bubble: the box and ${phones.length} phones`, async () => {
      this.net = new Net(this.tag, this.out, { family });
      await this.net.up(phones, { routeless });
      await before(this.net);
      this.box = new Box(this.net, this.dir, settings);
      await this.box.start();
      this.authority = await this.box.authority();
      this.link = await this.box.invite({ pinned, broadcast });
      this.planted.push(this.link.split('#')[1]);
    });
  }

  // A person with a browser on one of the phones, not yet in the bubble.
  async person(name, host, { browser = 'chromium', ...options } = {}) {
    const make = browser === 'firefox' ? firefoxPhone : chromiumPhone;
    const phone = await make(this.net, host, {
      dir: this.dir,
      log: `${this.out}/${host}.log`,
      authority: this.authority,
      ...options,
    });
    if (this.ended) await phone.close();
    this.ofBrowser.push(...phone.asks);
    const person = new Person(name, phone);
    person.host = host;
    this.people.push(person);
    this.planted.push(name);
    return person;
  }

  // Two persons who have joined and have each other's conversation open.
  async pair({ names = ['Ada Tester', 'Grace Tester'], browsers = ['chromium', 'chromium'] } = {}) {
    const [one, two] = await this.step('two browsers start', () => Promise.all([
      this.person(names[0], 'p1', { browser: browsers[0] }),
      this.person(names[1], 'p2', { browser: browsers[1] }),
    ]));
    await this.step('both join', () => Promise.all([one.join(this.link), two.join(this.link)]));
    await this.step('each opens the conversation', () => Promise.all([one.open(two), two.open(one)]));
    return [one, two];
  }

  // One message each way, read by the other and known to be delivered.
  async exchange(one, two, mark) {
    await this.step(`a message each way (${mark})`, async () => {
      await one.write(`${mark}-1`, 'Bonjour');
      await two.reads(`${mark}-1`);
      await two.write(`${mark}-2`, 'Salut');
      await one.reads(`${mark}-2`);
      await one.delivery(`${mark}-1`, 'delivered');
      await two.delivery(`${mark}-2`, 'delivered');
    });
  }

  // At the end of each scenario: nothing wanted to leave the bubble, the box's log gives nobody away,
  // no page broke its own policy, no console, address, title or storage of a browser holds what people
  // wrote, who they are, or the bubble's secret.
  async verify() {
    if (this.net) await this.step('nothing wanted to leave the bubble', () => this.#sealed());
    await this.step('the logs give nobody away', async () => {
      const words = [...this.planted, ...this.people.flatMap((person) => person.wrote)];
      const found = this.box?.leaked(words) ?? [];
      if (found.length) throw new Error(`the box's log says too much:\n${found.slice(0, 10).join('\n')}`);
      for (const person of this.people) {
        const problems = (await person.phone.problems())
          .filter((problem) => !this.provoked.complaints.some((complaint) => complaint.test(problem)));
        if (problems.length) throw new Error(`${person.host}: the page has a fault:\n${problems.slice(0, 10).join('\n')}`);
        const log = `${this.out}/${person.host}.log`;
        const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter((line) => !line.startsWith('{')) : [];
        const told = leaks(lines, { words, shapes: false });
        if (told.length) throw new Error(`${person.host}: the browser's console says too much:\n${told.slice(0, 10).join('\n')}`);
        const kept = await person.kept();
        const written = leaks([JSON.stringify(kept)], { words, shapes: false });
        if (written.length) throw new Error(`${person.host}: the browser keeps what it must not:\n${written.join('\n')}`);
      }
    });
  }

  async #sealed() {
    const { packets, names, seen, to } = await this.net.escapes();
    const left = packets - this.provoked.packets;
    const asked = [...new Set(names.slice(this.provoked.names.length))].filter((name) => !this.ofBrowser.includes(name));
    expect(left === 0 && asked.length === 0, () => `${left} packets for outside (${to.join(', ')}), names asked for: ${asked.join(', ')}\n${seen.slice(-10).join('\n')}`);
  }

  async keepEvidence() {
    await Promise.allSettled(this.people.map(async (person) => {
      const limit = AbortSignal.timeout(5_000);
      const soon = (work) => Promise.race([work, new Promise((_, reject) => limit.addEventListener('abort', () => reject(limit.reason)))]);
      await soon(person.page.screenshot({ path: `${this.out}/${person.host}-failed.png` }));
      await soon(person.phone.trace(`${this.out}/${person.host}-trace.zip`));
    }));
  }

  async down() {
    this.ended = true;
    await Promise.allSettled(this.people.map((person) => person.phone.close()));
    await this.box?.stop().catch(() => {});
    await this.net?.down().catch((error) => this.tell(`taking down: ${error.message}`));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

// The one assertion that scenarios need besides waiting.
export function expect(condition, otherwise) {
  if (!condition) throw new Error(typeof otherwise === 'function' ? otherwise() : otherwise);
}

// Asks again until it is so.
export async function until(what, done, limit) {
  const end = performance.now() + limit;
  while (!(await done())) {
    expect(performance.now() < end, `${what} did not come within ${limit / 1000} s`);
    await pause(200);
  }
}

export function expectEqual(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}:\n  found  ${a}\n  wanted ${b}`);
}
