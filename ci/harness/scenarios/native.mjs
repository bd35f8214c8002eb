// Programs that are not browsers: another implementation's TURN client, and many native phones.

import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { residentKib } from '../lib/memory.mjs';
import { Service } from '../lib/process.mjs';
import { expect } from '../lib/scenario.mjs';
import { crowd, talk } from '../lib/phones.mjs';

const TURN_ONLY = process.env.BULLE_TURN_ONLY ?? '/ws/out/bin/amd64/turn_only';
const BULLE = process.env.BULLE ?? '/ws/out/bin/amd64/bulle';
const COUNT = 200;

// A script that tries our programs with other people's, in networks of its own.
const interop = (script, about, program, missing, env) => ({
  about,
  limit_s: 180,
  async run(t) {
    expect(existsSync(program), `${program} is missing: ${missing} makes it`);
    // Its addresses and mounts are its own affair.
    const run = new Service('unshare', ['--net', '--mount', 'bash', `/ws/ci/harness/interop/${script}.sh`], {
      log: `${t.out}/${script}.log`,
      env: { ...process.env, [env]: program },
    });
    try {
      const [, passed, failed] = await t.step('the script of all exchanges', () => run.line(/^(\d+) passed, (\d+) failed/, 170_000));
      t.note('exchanges', Number(passed));
      expect(failed === '0' && passed !== '0', `${failed} exchanges failed, ${passed} passed; see out/e2e/${t.name}/${script}.log`);
    } finally {
      await run.end();
    }
  },
});

export const turnInterop = interop(
  'turn', 'coturn\'s clients are content with the TURN server of the box', TURN_ONLY, 'ci/build tools', 'BULLE_TURN_ONLY',
);

export const controllerInterop = interop(
  'controller', 'the controller of a box works with networkd and nft, between a network and a phone', BULLE, 'ci/build amd64', 'BULLE',
);

export const phones200 = {
  about: '200 native phones in pairs talk through one box',
  // It takes every processor that there is.
  alone: true,
  limit_s: 240,
  async run(t) {
    await t.bubble({ phones: ['p1'] });
    const report = `${t.out}/phones.json`;
    for (const path of ['mailbox', 'direct', 'relay']) {
      await t.step(`${COUNT} phones, ${path}`, () => talk(t, 'p1', { count: COUNT, messages: 5, path, more: ['--json', report] }));
      t.note(path, JSON.parse(readFileSync(report, 'utf8')));
    }
  },
};

const CROWD = 10_000;

export const crowd10000 = {
  about: `${CROWD} sessions open at once: phones that talk meanwhile lose nothing, and the memory comes back`,
  alone: true,
  limit_s: 1500,
  async run(t) {
    await t.bubble({
      phones: ['p1', 'p2'],
      settings: `[limits]\nconnections = ${CROWD + 2000}\nconnections_per_address = ${CROWD + 2000}\nsessions = ${CROWD + 200}\n`,
    });
    const some = () => talk(t, 'p1', { count: 20, messages: 20, path: 'mailbox', limit_s: 400 });
    await t.step('20 phones talk', some);
    const before = residentKib(t.box.pid);
    t.note('memory before, KiB', before);
    for (const time of ['first', 'second']) {
      t.note(`the ${time} time`, await t.step(`${CROWD} come for the ${time} time`, () => crowd(t, 'p2', CROWD, 400)));
      await t.step('the node has as much memory as before', () => shrinks(t, before * 1.1));
    }
    // What these leave to be read would count as memory.
    await t.step(`${CROWD} come, and 20 talk`, () => Promise.all([crowd(t, 'p2', CROWD, 400), some()]));
    await t.step('20 phones talk', some);
  },
};

// Waits until the box has no more memory than this.
async function shrinks(t, most) {
  for (const end = performance.now() + 60_000; residentKib(t.box.pid) > most;) {
    expect(performance.now() < end, `the box keeps ${residentKib(t.box.pid)} KiB, and ${Math.round(most)} would be right`);
    await sleep(500);
  }
}

export const killedThrice = {
  about: 'the node is killed and started again three times while 50 phones write: all arrives once and in order',
  alone: true,
  limit_s: 600,
  async run(t) {
    await t.bubble({ phones: ['p1'] });
    let over = false;
    const phones = talk(t, 'p1', { count: 50, messages: 250, path: 'mailbox', limit_s: 400 }).finally(() => { over = true; });
    phones.catch(() => {});
    for (let time = 1; time <= 3; time += 1) {
      await t.step(`killed for the ${['first', 'second', 'third'][time - 1]} time`, async () => {
        await sleep(1500);
        expect(!over, 'the phones were done before the node was killed');
        await t.box.kill();
        await t.box.start();
      });
    }
    await t.step('everything has arrived', () => phones);
  },
};
