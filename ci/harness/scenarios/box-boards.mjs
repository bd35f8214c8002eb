// The image on the boards that it is made for, as far as a virtual machine can stand for them.

import { builder, onlyAllowed } from './box.mjs';
import { Machine } from '../lib/machine.mjs';
import { expect } from '../lib/scenario.mjs';

// What the box may need while it serves: `used` as `free` tells, with what tests bring along.
const MEMORY_MIB = 130;

export const arm64 = {
  about: 'the image of the Raspberry Pi 5 starts on an arm64 machine, and a phone joins its Wi-Fi and opens the page',
  image: true,
  alone: true,
  limit_s: 900,
  async run(t) {
    const box = new Machine(t, 'rpi5');
    try {
      await t.step('the image starts', () => box.start({ inside: 'arm64', before: 'three-radios', options: ['--no-cable'], seconds: 850 }));
      const seen = await t.step('a phone in the guest', () => box.account(860_000));
      await t.step('nothing else listens', () => onlyAllowed(seen.listens, 'wifi'));
      expect(seen.values.memory_mib <= MEMORY_MIB, `it uses ${seen.values.memory_mib} MiB, more than ${MEMORY_MIB}`);
    } finally {
      await box.off();
    }
  },
};

// A root file system that was changed, a new version that is broken: `ci/image BOARD --check-boot`.
export const fallback = {
  about: 'a changed root file system is refused, and a broken new version gives way to the one before',
  image: true,
  alone: true,
  limit_s: 2000,
  async run(t) {
    for (const board of ['qemu-x86_64', 'rpi5']) {
      const said = await t.step(board, () => builder(t, ['check-boot', board], 950_000));
      t.note(board, said.trim().split('\n').at(-1));
    }
  },
};
