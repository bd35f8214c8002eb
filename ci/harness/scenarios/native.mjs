// Programs that are not browsers: another implementation's TURN client, and many native phones.

import { existsSync, readFileSync } from 'node:fs';
import { Service } from '../lib/process.mjs';
import { expect } from '../lib/scenario.mjs';
import { talk } from '../lib/phones.mjs';

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
