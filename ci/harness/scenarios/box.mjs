// The box itself, as it is flashed, in a virtual machine.

import { readFileSync, writeFileSync } from 'node:fs';
import { leaks } from '../lib/leaks.mjs';
import { run } from '../lib/process.mjs';
import { Machine } from '../lib/machine.mjs';
import { Net } from '../lib/net.mjs';
import { expect } from '../lib/scenario.mjs';

// What may listen, and nothing else.
const allowed = (mode) => readFileSync(`/ws/ci/harness/box/listens-${mode}.txt`, 'utf8').trim().split('\n');

export function onlyAllowed(listens, mode) {
  const found = [...listens].sort().join(', ');
  const expected = allowed(mode).sort().join(', ');
  expect(found === expected, `in mode ${mode} these listen: ${found}; allowed are: ${expected}`);
}

export const wifiJoin = {
  about: 'the image raises its Wi-Fi, and two phones join with what the card says',
  image: true,
  alone: true,
  limit_s: 900,
  async run(t) {
    const box = new Machine(t, 'qemu-x86_64');
    try {
      await t.step('the image starts', () => box.start({ inside: 'wifi', options: ['--no-cable'] }));
      const seen = await t.step('two phones in the guest', () => box.account(850_000));
      await t.step('nothing else listens', () => onlyAllowed(seen.listens, 'wifi'));
    } finally {
      await box.off();
    }
  },
};

// Plugged into somebody's network: found by mDNS, opened by real browsers.
export const lan = {
  about: 'the image on a cable takes a lease, is found by mDNS, and two browsers talk through it',
  image: true,
  alone: true,
  limit_s: 900,
  async run(t) {
    const box = new Machine(t, 'kubb-mini');
    try {
      let cable;
      await t.step('a network with a router', async () => {
        t.net = new Net(t.tag, t.out);
        await t.net.up(['p1', 'p2']);
        await t.net.leases(100, 120);
        cable = await t.net.socket('vm0');
      });
      await t.step('the image starts', () => box.start({ inside: 'lan', cable }));
      const found = await t.step('it is found by mDNS', () => discover(t.net, 'p2', 200));
      t.note('name', found.host);
      await t.step('the browsers trust its authority', async () => {
        t.authority = `${t.dir}/ca.crt`;
        await t.net.inside('p1', 'curl', ['--silent', '--show-error', '--fail', '--retry', '20', '--retry-connrefused',
          '--retry-delay', '1', '-o', t.authority, `http://${found.address}/ca.crt`], { limit: 240_000 });
        for (const phone of ['p1', 'p2']) t.net.name(phone, found.address, found.host);
      });
      const origin = `https://${found.host}`;
      t.link = linkIn(await run('/ws/out/bin/amd64/bulle', ['invite', '--url', origin]));
      t.planted.push(t.link.split('#')[1]);
      const [one, two] = await t.pair();
      await t.exchange(one, two, 'lan');
      await t.step('the page at its address', () => t.net.inside('p2', 'curl', [
        '--silent', '--show-error', '--fail', '--retry', '5', '--retry-delay', '2', '--retry-all-errors', '--cacert', t.authority,
        '-o', '/dev/null', `https://${found.address}/`], { limit: 240_000 }));
      const seen = await box.account(600_000);
      await t.step('nothing else listens', () => onlyAllowed(seen.listens, 'lan'));
      await t.step('its journal names nobody', async () => {
        const journal = await box.told('journal', 240_000);
        expect(journal.some((line) => line.includes('started')), 'the journal does not tell that the daemon started');
        const words = [...t.planted, ...t.people.flatMap((person) => person.wrote)];
        const phones = new RegExp(`\\b(${['p1', 'p2'].map((phone) => t.net.address(phone).replaceAll('.', '\\.')).join('|')})\\b`);
        const found = [...leaks(journal, { words, shapes: false }), ...journal.filter((line) => phones.test(line))];
        expect(found.length === 0, () => `the journal of the box says too much:\n${found.slice(0, 10).join('\n')}`);
      });
    } finally {
      await box.off();
    }
  },
};

function linkIn(text) {
  const link = /https:\/\/\S+#\S+/.exec(text);
  expect(link, `bulle invite printed no link:\n${text}`);
  return link[0];
}

// Asks the network for a bubble until one answers: service, host, address.
async function discover(net, phone, seconds) {
  const said = await net.inside(phone, 'node', ['/ws/ci/harness/lib/browse.mjs', '_bulle._tcp.local', String(seconds)], {
    limit: (seconds + 10) * 1000,
  }).catch(() => { throw new Error('nobody answered for _bulle._tcp.local'); });
  return JSON.parse(said);
}

// One start of a box with a disk of its own, which `spoil` may change before: what the script `inside` tells, in so many
// seconds.
export function play(t, inside, about, { spoil = async () => {}, options = [], seconds = 600 }) {
  return t.step(about, async () => {
    const box = new Machine(t, 'qemu-x86_64', inside);
    const disk = await box.disk();
    await spoil(box, disk);
    try {
      box.start({ inside, options: ['--disk', disk, ...options], seconds });
      await box.account(seconds * 1000);
    } finally {
      await box.off();
      await run('rm', ['-f', disk]);
    }
  });
}

// Every mistake that the card or the site can bring, each in a box of its own.
export const badConfig = {
  about: 'a wrong bulle.toml, a damaged or full data partition, a radio that is missing or vanishes: each is told and survived',
  image: true,
  alone: true,
  limit_s: 2000,
  async run(t) {
    await play(t, 'bad-settings', 'a bulle.toml with a mistake in line 3', {
      spoil: (box, disk) => box.write(disk, 'bulle.toml', '# Our box\r\nname = "Ops"\r\nmod = "wifi"\r\n'),
    });
    await play(t, 'no-radio', 'no radio, and a data partition full of noise', {
      spoil: async (box, disk) => {
        const { start, size } = (await box.partitions(disk)).at(-1);
        // Looks like a file system at its beginning, and like nothing after it.
        const noise = `head -c ${size - 4096} /dev/urandom | dd of=${disk} bs=1M oflag=seek_bytes seek=${start + 4096} conv=notrunc status=none
          printf '\\x53\\xef' | dd of=${disk} bs=1 seek=${start + 1024 + 56} conv=notrunc status=none`;
        await run('bash', ['-c', noise], { limit: 240_000 });
      },
      options: ['--no-cable', '--append=modprobe.blacklist=mac80211_hwsim module_blacklist=mac80211_hwsim'],
    });
    await play(t, 'radio-vanishes', 'a full data partition, a claim that finds no room on it, and a radio that vanishes and comes back', { options: ['--no-cable'] });
  },
};

// Two builds of one commit, in two places, give the same bytes.
export const reproducible = {
  about: 'two builds of the image are the same, byte for byte',
  image: true,
  limit_s: 900,
  async run(t) {
    for (const board of ['qemu-x86_64', 'rpi5']) {
      await t.step(board, () => builder(t, ['check-reproducible', board], 880_000));
    }
  },
};

// What only hardware can show begins with a driver that is there.
export const drivers = {
  about: 'every device of the boards has its driver and its firmware in the image',
  image: true,
  limit_s: 600,
  async run(t) {
    for (const board of ['rpi5', 'kubb-mini']) {
      const said = await t.step(board, () => builder(t, ['check-drivers', board], 580_000));
      t.note(board, said.trim().split('\n').at(-1));
    }
  },
};

// The image builder, where it is always run.
export async function builder(t, words, limit) {
  const log = `${t.out}/${words.join('-')}.log`;
  const said = await run('chroot', ['/image', '/usr/bin/env', '-C', '/ws', 'PYTHONDONTWRITEBYTECODE=1', 'python3', '-m', 'image', ...words], { limit });
  writeFileSync(log, said);
  return said;
}
