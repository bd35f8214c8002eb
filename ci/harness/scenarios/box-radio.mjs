// What comes and goes at the box: radios, cables, a second box, the time.

import { play } from './box.mjs';
import { Machine } from '../lib/machine.mjs';
import { Net } from '../lib/net.mjs';
import { expect } from '../lib/scenario.mjs';

export const radio = {
  about: 'a radio is pulled out and another takes its place, one that cannot is told apart, a second box of the same name is heard',
  image: true,
  alone: true,
  limit_s: 900,
  async run(t) {
    await play(t, 'radios', 'radios come and go', {
      spoil: (box, disk) => box.write(disk, 'bulle.toml', 'mode = "wifi"\n'),
      seconds: 850,
    });
  },
};

// What the monitor is told when a cable goes out or in.
const link = (name, up) => ({ execute: 'set_link', arguments: { name, up } });

// The sockets of the box.
const SOCKETS = ['52:54:00:00:00:10', '52:54:00:00:00:11'];
const DAY = Date.UTC(2028, 4, 5, 5, 5, 5) / 1000;

export const cable = {
  about: 'the cable is moved, its time server is believed and nobody else, an address that is taken is left, and so are addresses that the Wi-Fi would have',
  image: true,
  alone: true,
  limit_s: 2400,
  async run(t) {
    const box = new Machine(t, 'qemu-x86_64');
    try {
      let router;
      const cables = await t.step('a network with a router', async () => {
        t.net = new Net(t.tag, t.out);
        await t.net.up(['p1', 'p2']);
        router = await t.net.leases(100, 110, ['--no-ping', `--dhcp-option=option:ntp-server,${t.net.box}`]);
        return [await t.net.socket('vm0'), await t.net.socket('vm1')];
      });
      await t.step('the image starts, with the cable in its second socket and a clock that woke up in 2000', async () => {
        box.start({ inside: 'cable', cable: cables, macs: SOCKETS,
          options: ['--qemu=-rtc', '--qemu=base=2000-01-01'], seconds: 2350 });
        await box.monitor(link('nic0', false));
      });
      const account = box.account(2_350_000);
      account.catch(() => {});
      const asked = (what) => Promise.race([box.line(new RegExp(`^ask ${what}$`), 2_350_000), account.then(() => {
        throw new Error(`the guest did not ask to ${what}`);
      })]);
      await asked('push');
      const [, second] = await box.line(/^address (\S+)$/, 60_000);
      await t.step('phones of today trust the box all the same', () => page(t, second));
      await t.step('a host of the network tells the time without being asked', () => t.net.inside('p1', 'python3',
        ['/ws/ci/harness/box/ntp.py', 'push', second, String(DAY + 2e8)], { limit: 240_000 }));
      await asked('time');
      const clock = t.net.service('box', 'python3', ['/ws/ci/harness/box/ntp.py', 'serve', t.net.box, String(DAY)], {
        log: `${t.out}/ntp.log` });
      await clock.line(/^serves$/);
      await t.step('the router\'s time server is asked', () => clock.line(/^answered$/, 900_000));
      await asked('move');
      await t.step('the cable is moved', () => box.monitor(link('nic1', false), link('nic0', true)));
      const taken = await t.step('another host takes the address that the router means for it', async () => {
        const [, offered] = await router.line(new RegExp(`DHCPOFFER\\(eth0\\) (\\S+) ${SOCKETS[0]}`), 240_000);
        await t.net.inside('p1', 'ip', ['addr', 'add', `${offered}/24`, 'dev', 'eth0']);
        return offered;
      });
      await t.step('the router gives another one', () => router.line(
        new RegExp(`DHCPACK\\(eth0\\) (?!${taken} )\\S+ ${SOCKETS[0]}`), 240_000));
      await asked('beside');
      const [, first] = await box.line(/^beside (\S+)$/, 60_000);
      expect(first !== taken, 'the box has the address of another host');
      await t.step('the box is there for the cable, too', () => t.net.inside('p2', 'curl', [...PATIENTLY,
        '-o', '/dev/null', `http://${first}/ca.crt`], { limit: 240_000 }));
      await account;
    } finally {
      await box.off();
    }
  },
};

// As often as somebody would press the key again: the certificate follows an address within seconds.
const PATIENTLY = ['--silent', '--show-error', '--fail', '--max-time', '10', '--retry', '5', '--retry-delay', '2', '--retry-all-errors'];

// The page of the box as a phone sees it that knows what day it is.
async function page(t, address) {
  const authority = `${t.dir}/ca.crt`;
  await t.net.inside('p2', 'curl', [...PATIENTLY, '-o', authority, `http://${address}/ca.crt`], { limit: 240_000 });
  await t.net.inside('p2', 'curl', [...PATIENTLY, '--cacert', authority, '-o', '/dev/null', `https://${address}/`], { limit: 240_000 });
}
