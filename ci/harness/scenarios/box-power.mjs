// The power goes, by its cable or its button, and the disk breaks: a box in a virtual machine, whose writes are all kept, and every disk that
// could have been left.

import { run } from '../lib/process.mjs';
import { Machine } from '../lib/machine.mjs';
import { expect } from '../lib/scenario.mjs';

const BOARD = 'qemu-x86_64';
const CUTS = 240;
const CUTTER = ['/image', 'python3', '/ws/ci/harness/box/powercut.py'];

export const powerCut = {
  about: `the power is cut at ${CUTS} moments, or the disk is damaged: the box starts, and keeps what can be kept`,
  image: true,
  alone: true,
  limit_s: 2400,
  async run(t) {
    const box = new Machine(t, BOARD, 'first');
    const disk = await t.step('a disk as it was flashed', () => box.disk());
    const before = `${box.out}/before.img`;
    await run('cp', ['--sparse=always', disk, before], { limit: 120_000 });
    const log = `${box.out}/writes.log`;
    let told;
    try {
      await t.step('its first start, operation, and the claim', async () => {
        box.start({ inside: 'first-minutes', options: ['--no-cable', '--disk', disk, '--log-writes', log], seconds: 800 });
        ({ values: { told } } = await box.account(800_000));
      });
    } finally {
      await box.off();
    }
    const work = `${box.out}/cuts`;
    const cuts = JSON.parse(await t.step(`${CUTS} power cuts`, () => run('chroot', [
      ...CUTTER, '--disk', before, '--log', log, '--state-loader', '/ws/out/bin/amd64/bulle', '--work', work, '--cuts', `${CUTS}`,
    ], { limit: 1_200_000 })));
    const { nastiest, unclaimed, ...figures } = cuts;
    t.note('cuts', figures);
    expect(nastiest.length === 5 && unclaimed, 'the cuts left fewer disks to start than there should be');

    // Two at a time: an emulated processor waits a lot.
    const tries = [
      { name: 'again', about: 'a further start, which writes nothing', from: disk, expected: { ...state(cuts.last), WORD: 'whole', TOLD: told, QUIET: 'yes' } },
      ...nastiest.map((cut, index) => ({
        name: `cut-${index + 1}`, about: `a start after cut ${cut.cut} (${cut.phase}, ${cut.style})`, from: before, parts: cut.folder, expected: state(cut),
      })),
      ...damages(unclaimed).map((damage) => ({ ...damage, from: before, parts: unclaimed.folder })),
    ];
    const places = new Map(cuts.partitions.map(({ number, start }) => [number, start]));
    const failed = [];
    const next = async () => {
      while (tries.length && !failed.length) await start(t, tries.shift(), { work, places }).catch((error) => failed.push(error));
    };
    await Promise.all([next(), next()]);
    if (failed.length) throw failed[0];
    await run('rm', ['-rf', disk, before, log, work]);
  },
};

export const button = {
  about: 'the power button, pressed three times, purges; pressed once, it switches off',
  image: true,
  limit_s: 900,
  async run(t) {
    const box = new Machine(t, BOARD);
    try {
      await t.step('the image starts', () => box.start({ inside: 'button', options: ['--no-cable'], seconds: 850 }));
      const account = box.account(800_000);
      await Promise.race([box.line(/^ask thrice$/, 800_000), account]);
      // The key of a keyboard: its strokes wait in a queue, however busy the machine is.
      await t.step('the button is pressed three times', async () => {
        for (const down of [true, false, true, false, true, false]) {
          await box.monitor({ execute: 'input-send-event', arguments: { events: [
            { type: 'key', data: { down, key: { type: 'qcode', data: 'power' } } }] } });
        }
      });
      await account;
      await box.line(/^ask once$/, 60_000);
      await t.step('the button is pressed once, and the box goes off', async () => {
        await box.monitor({ execute: 'system_powerdown' });
        await box.ended(120_000);
      });
    } finally {
      await box.off();
    }
  },
};

// What a box must be after it starts from a disk with this state.
function state({ authority, claimed, key }) {
  return {
    ...(authority ? { AUTHORITY: authority } : {}),
    CLAIMED: claimed ? 'yes' : 'no',
    ...(authority && !claimed && key ? { KEY: key } : {}),
  };
}

// Kinds of damage to the data partition of a box that nobody has claimed: its card shows what was kept.
function damages(unclaimed) {
  const noise = (from, length) => ({ from, length, of: '/dev/urandom' });
  const saved = state(unclaimed);
  return [
    { name: 'superblock', about: 'the superblock is gone', noise: [{ from: 0, length: 4096, of: '/dev/zero' }],
      expected: { ...saved, WORD: 'repaired', SAID: 'has been repaired' } },
    { name: 'inodes', about: 'the tables of files are noise', noise: [noise(8 * 1024, 5 * 1024 * 1024)],
      expected: { ...saved, SAID: 'were found on it and are saved' } },
    { name: 'begin', about: 'neither file system nor copy of its superblock is left', noise: [noise(0, 8194 * 1024)],
      expected: { ...saved, WORD: 'rebuilt', SAID: 'were found on it and are saved' } },
  ];
}

async function start(t, { name, about, from, parts, noise = [], expected }, { work, places }) {
  const box = new Machine(t, BOARD, name);
  const disk = `${box.out}/disk.img`;
  await run('cp', ['--sparse=always', from, disk], { limit: 120_000 });
  const write = (words) => run('dd', [`of=${disk}`, 'bs=1M', 'oflag=seek_bytes', 'iflag=count_bytes', 'conv=notrunc', 'status=none', ...words], { limit: 60_000 });
  for (const [number, at] of parts ? places : []) await write([`if=${work}/${parts}/p${number}.img`, `seek=${at}`]);
  const data = Math.max(...places.keys());
  for (const { from: begin, length, of: source } of noise) {
    await write([`if=${source}`, `seek=${places.get(data) + begin}`, `count=${length}`]);
  }
  const lines = Object.entries(expected).map(([key, value]) => `${key}='${value}'\n`);
  try {
    await t.step(about, async () => {
      box.start({ inside: 'alive', files: { expected: lines.join('') }, options: ['--no-cable', '--disk', disk], seconds: 600 });
      await box.account(600_000);
    });
  } finally {
    await box.off();
    await run('rm', ['-f', disk]);
  }
}
