// The box is blind, and forgets: searched for what people write while they write, and when it is purged.

import { randomBytes } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, expectEqual, until } from '../lib/scenario.mjs';
import { forms, inBytes, inMemory } from '../lib/memory.mjs';
import { talk } from '../lib/phones.mjs';

// What every native phone writes; see ci/phones/src/conversation.rs.
const PHONES_WRITE = 'We meet at the old bridge at ';

const word = () => randomBytes(12).toString('hex');

export const blind = {
  about: 'canaries planted in real conversations are in no dump, memory, file or log of the box; after a purge nothing is',
  limit_s: 240,
  async run(t) {
    await t.bubble({ phones: ['p1', 'p2', 'p3'] });
    const names = [`Ada ${word()}`, `Grace ${word()}`];
    const [ada, grace] = await t.pair({ names });
    const canaries = [];
    const plant = (what, ...values) => values.forEach((value) => canaries.push(...forms(what, value)));
    plant('a pseudonym', ...names);
    const secret = t.link.split('#')[1];
    plant('the secret of the bubble', secret, ...secret.split(/[^\w-]+/).filter((part) => part.length >= 16));

    const says = async (person, other, what, value) => {
      plant(what, value);
      await person.write(value, what);
      if (other) await other.reads(value);
    };
    await says(ada, grace, 'a message', `m-${word()}`);
    await t.step('they find a way that is direct', () => Promise.all([ada.path('direct'), grace.path('direct')]));
    await says(grace, ada, 'a message', `m-${word()}`);
    await t.step('what their browsers say of themselves is noted', async () => {
      for (const person of [ada, grace]) {
        const sdp = await person.page.evaluate(() => (window.bulleConnections ?? [])
          .flatMap((connection) => [connection.localDescription?.sdp ?? '', connection.remoteDescription?.sdp ?? '']).join('\n'));
        const lines = (pattern) => [...new Set([...sdp.matchAll(pattern)].map((match) => match[1].trim()))];
        const found = {
          'the password of ICE': lines(/a=ice-pwd:(\S+)/g),
          'the fingerprint of DTLS': lines(/a=fingerprint:\S+ (\S+)/g),
          'a candidate': lines(/a=(candidate:[^\r\n]+)/g),
        };
        for (const [what, values] of Object.entries(found)) {
          expect(values.length, () => `${person.name}: the session description has not ${what}`);
          plant(what, ...values);
        }
      }
    });
    await t.step('native phones talk through mailbox and TURN', async () => {
      plant('what native phones write', PHONES_WRITE);
      for (const path of ['mailbox', 'relay']) await talk(t, 'p3', { count: 6, messages: 3, path });
    });

    await t.step('one is out of reach, and messages wait in the box', async () => {
      await t.net.unplug('p2');
      const waiting = [
        ['the name of a file', `plan-${word()}.pdf`],
        ['the bytes of a file', randomBytes(600).toString('base64url')],
        ['a message', `m-${word()}`],
      ];
      for (const [what, value] of waiting) await says(ada, undefined, what, value);
      for (const [, value] of waiting) await ada.delivery(value, 'deposited', 30_000);
    });

    // The control: a client that does not encrypt. What it writes must be found.
    const control = `unsealed ${word()}`;
    const address = randomBytes(32);
    await t.step('a careless client deposits a text as it is', () => ada.page.evaluate(plantUnsealed, { text: control, address: [...address] }));
    const careless = [{ name: 'the control', form: 'plain', bytes: Buffer.from(control) }];
    const mailbox = forms('the address of a mailbox', address);

    const dumps = await t.step('the dumps', async () => ({ plain: await t.box.dump(), bytes: await t.box.dump(true) }));
    const envelopes = [...dumps.bytes.matchAll(/^envelope .*bytes=([0-9a-f]+)$/gm)].map(([, digits]) => Buffer.from(digits, 'hex'));
    await t.step('nothing of it is in a dump, nor in what the dump shows', () => {
      const waiting = /^held .*envelopes=(\d+)/m.exec(dumps.plain)?.[1];
      t.note('envelopes', envelopes.length);
      expect(envelopes.length >= 4 && Number(waiting) >= 4, () => `only ${waiting} envelopes wait, ${envelopes.length} are shown:\n${dumps.plain}`);
      expectEqual(inBytes(Buffer.from(dumps.plain), [...canaries, ...careless, ...mailbox]), [], 'in the dump');
      expectEqual(inBytes(Buffer.from(dumps.bytes), canaries), [], 'in the dump with bytes');
      expectEqual(inBytes(Buffer.concat(envelopes), canaries), [], 'in the envelopes');
      expectEqual(inBytes(Buffer.concat(envelopes), careless).length, 1, 'the control, in the envelopes');
    });

    // Some bytes out of the middle of each envelope: what must be found before the purge, and not after it.
    const sealed = envelopes.map((bytes, number) => ({ name: `envelope ${number}`, form: 'ciphertext', bytes: bytes.subarray(2000, 2048) }));
    await t.step('the memory of the box holds ciphertext, and nothing of it', () => {
      const { found, mib, unread } = inMemory(t.box.pid, [...canaries, ...careless, ...sealed]);
      t.note('searched_mib', mib);
      t.note('canaries', canaries.length);
      expectEqual(unread, 0, 'bytes that could not be read');
      const good = (line) => line.startsWith('the control ') || line.startsWith('envelope ');
      expectEqual(found.filter((line) => !good(line)), [], 'in memory');
      for (const { name } of [...careless, ...sealed]) {
        expect(found.some((line) => line.startsWith(`${name} (`)), () => `the search does not find ${name}, which is there: it proves nothing`);
      }
    });
    await t.step('no file and no log holds any of it', () => {
      const files = t.box.files();
      t.note('files', files);
      for (const file of files) {
        expectEqual(inBytes(readFileSync(file), [...canaries, ...careless, ...mailbox, ...sealed]), [], file);
      }
    });

    await t.step('both phones are out of reach, and the box is purged', async () => {
      await t.net.unplug('p1');
      await t.box.purge();
      // The goodbye to those who do not hear it takes its time.
      await until('the end of the last session', async () => !/^session /m.test(await t.box.dump()), 60_000);
    });
    await t.step('nothing that was in it is anywhere in its memory', () => {
      const { found } = inMemory(t.box.pid, [...canaries, ...careless, ...mailbox, ...sealed]);
      expectEqual(found, [], 'in memory after the purge');
    });
    await t.step('the phones are back, and what waited arrives', async () => {
      await Promise.all([t.net.plug('p1'), t.net.plug('p2')]);
      for (const wrote of ada.wrote) await grace.reads(/\[([^\]]+)\]/.exec(wrote)[1], 60_000);
    });
  },
};

// In the page, as text: opens a session of its own and deposits one envelope that is not sealed.
// The frames are those of docs/protocol/session.cddl.
function plantUnsealed({ text, address }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/session`, 'bulle.v1');
    socket.binaryType = 'arraybuffer';
    socket.onerror = () => reject(new Error('the session was refused'));
    socket.onmessage = ({ data }) => {
      const said = new Uint8Array(data);
      if (said[1] === 0) {
        const envelope = new Uint8Array(4096);
        // In the middle as well, where the other envelopes are looked at.
        for (const at of [0, 1990]) envelope.set(new TextEncoder().encode(text), at);
        const head = [0x82, 0x02, 0x84, 0x01, 0x58, 0x20, ...address, 0x02, 0x59, 0x10, 0x00];
        socket.send(new Uint8Array([...head, ...envelope]));
      } else if (said[1] === 2) {
        socket.close();
        resolve();
      } else reject(new Error(`the box said ${said[1]}`));
    };
  });
}

export const shortOfMemory = {
  about: 'short of memory the box takes nothing in; out of memory it purges; then everything arrives after all',
  limit_s: 150,
  async run(t) {
    const meminfo = `${t.dir}/meminfo`;
    const left = (mib) => {
      const text = readFileSync('/proc/meminfo', 'utf8').replace(/^MemAvailable:.*$/m, `MemAvailable: ${mib * 1024} kB`);
      // In place: it is this file that the box sees.
      writeFileSync(meminfo, text.replace(/^MemTotal:.*$/m, 'MemTotal: 8388608 kB'));
    };
    await t.bubble();
    await t.step('the box starts again where the kernel says what we write', async () => {
      copyFileSync('/proc/meminfo', meminfo);
      left(4000);
      await t.box.kill();
      await t.box.start(['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /proc/meminfo && exec "$@"', meminfo]);
    });
    const [ada, grace] = await t.pair();
    await t.exchange(ada, grace, 'before');
    await t.step('one phone is out of reach, and a message waits', async () => {
      await t.net.unplug('p2');
      await ada.write('kept');
      await ada.delivery('kept', 'deposited', 30_000);
    });
    const field = async (line, name) => Number(new RegExp(`^${line} .*\\b${name}=(\\d+)`, 'm').exec(await t.box.dump())?.[1] ?? 0);
    const reaches = (line, name, least) => until(`${line} ${name}=${least}`, async () => (await field(line, name)) >= least, 20_000);
    await t.step('memory is short: what is written now is refused, what waits stays', async () => {
      left(40);
      await t.box.said(/runs short of memory/);
      await ada.write('refused');
      await reaches('refused', 'node_full', 1);
      expect((await field('held', 'envelopes')) >= 1, 'what was confirmed is gone');
    });
    await t.step('memory is out: all is purged', async () => {
      left(10);
      await t.box.said(/nearly out of memory/);
      await reaches('purged', 'low_memory', 1);
    });
    await t.step('there is memory again: both messages arrive, once and in order', async () => {
      left(4000);
      await t.box.said(/there is memory again/, 30_000);
      await t.net.plug('p2');
      for (const mark of ['kept', 'refused']) await grace.reads(mark, 60_000);
      const { received } = await grace.conversation();
      expectEqual(received, ['before-1', 'kept', 'refused'], 'what the other one has read');
    });
  },
};
