// The names of a bubble: a box that is everybody's name server, and two boxes that want the same name
// on one LAN.

import { readFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { Net } from '../lib/net.mjs';
import { leaks } from '../lib/leaks.mjs';
import { expect, expectEqual, until } from '../lib/scenario.mjs';

const PROGRAM = process.env.BULLE_BIN ?? '/ws/out/bin/amd64/bulle';

// A box in a namespace of its own, with these sections of settings.
async function box(t, host, settings) {
  const dir = `${t.dir}/${host}`;
  mkdirSync(`${dir}/state`, { recursive: true, mode: 0o700 });
  mkdirSync(`${dir}/run`, { recursive: true });
  writeFileSync(`${dir}/bulle.toml`, `${settings}\n[box]\nruntime = "${dir}/run"\n[state]\ndir = "${dir}/state"\n`);
  const daemon = t.net.service(host, PROGRAM, ['serve', '--config', `${dir}/bulle.toml`], {
    log: `${t.out}/${host}.log`,
  });
  // The scenario's end looks through their logs and stops them, as with any box.
  const boxes = t.box?.daemons ?? [];
  boxes.push(daemon);
  t.box = {
    daemons: boxes,
    leaked: (words) => boxes.flatMap(({ errors, lines }) => [...leaks(errors, { words }), ...leaks(lines, { words, shapes: false })]),
    stop: () => Promise.all(boxes.map((one) => one.end('SIGTERM'))),
  };
  await daemon.line(/\bstarted\b/, 20_000);
  const ca = `${dir}/ca.crt`;
  writeFileSync(ca, readFileSync(`${dir}/state/ca.crt`));
  return { host, dir, daemon, ca, name: () => readFileSync(`${dir}/run/mdns-name`, 'utf8').trim() };
}

// What a program printed, and how it ended.
async function tried(t, host, command, args) {
  try {
    return { ok: true, said: await t.net.inside(host, command, args) };
  } catch (error) {
    return { ok: false, said: String(error.message) };
  }
}

const curl = (t, host, ...args) => t.net.inside(host, 'curl', ['--silent', '--show-error', '--max-time', '5', ...args]);

const ownNamesOver = (family) => ({
  about: `phones that use the box as their name server over IPv${family} find its page, their probes, and a quick "no"`,
  limit_s: 60,
  async run(t) {
    await t.step('a network whose name server is the box', async () => {
      t.net = new Net(t.tag, t.out, { family });
      await t.net.up(['b1', 'p1']);
    });
    const address = t.net.address('b1');
    const at = (port) => (family === 6 ? `[${address}]:${port}` : `${address}:${port}`);
    const server = await t.step('the box serves names', () => box(t, 'b1',
      `[http]\nhttps = "${at(443)}"\nredirect = "${at(80)}"\nnames = ["bulle.internal"]\n`
      + `[turn]\nlisten = []\n[dns]\nlisten = "${at(53)}"\n[portal]\nprobes = "online"`));
    writeFileSync(`/etc/netns/${t.net.namespace('p1')}/resolv.conf`, `nameserver ${address}\n`);
    const lookUp = (name) => tried(t, 'p1', 'getent', ['ahosts', name]);
    await t.step("the phone's own resolver finds the page", async () => {
      const found = await lookUp('bulle.internal');
      expect(found.ok && found.said.includes(address), `bulle.internal: ${found.said}`);
      const page = await curl(t, 'p1', '--cacert', server.ca, 'https://bulle.internal/healthz');
      expectEqual(page, 'ok\n', 'the page by name');
    });
    await t.step('everything else is a quick no', async () => {
      const before = performance.now();
      for (const name of ['example.org', 'use-application-dns.net', 'www.google.com']) {
        expect(!(await lookUp(name)).ok, `${name} exists`);
      }
      expect(performance.now() - before < 3_000, 'the resolver waited for something');
    });
    await t.step('the probes hear that all is well', async () => {
      const status = await curl(t, 'p1', '-o', '/dev/null', '-w', '%{http_code}', 'http://connectivitycheck.gstatic.com/generate_204');
      expectEqual(status, '204', 'the probe of Android');
      expect((await curl(t, 'p1', 'http://captive.apple.com/hotspot-detect.html')).includes('Success'), 'the probe of Apple');
    });
  },
});

export const ownNames = ownNamesOver(4);
export const ownNamesIpv6 = ownNamesOver(6);

export const twoBoxes = {
  about: 'two boxes on one LAN want the same name: the second takes another one, and its certificate follows',
  limit_s: 90,
  async run(t) {
    await t.step('a LAN with two boxes and a phone', async () => {
      t.net = new Net(t.tag, t.out);
      await t.net.up(['b1', 'b2', 'p1']);
    });
    const settings = '[http]\nhttps = "[::]:8443"\nredirect = []\nnames = ["bulle.local", "bulle.internal"]\n'
      + '[turn]\nlisten = []\n[mdns]\nname = "bulle"\ninterfaces = ["eth0"]';
    const first = await t.step('the first box is found', async () => {
      const one = await box(t, 'b1', settings);
      await one.daemon.line(/found by multicast DNS/, 20_000);
      expectEqual(one.name(), 'bulle.local', 'the name of the first box');
      return one;
    });
    const second = await t.step('the second takes another name', async () => {
      const two = await box(t, 'b2', settings);
      await two.daemon.line(/another machine has our name/, 30_000);
      await two.daemon.line(/certificate renewed/, 30_000);
      expectEqual([first.name(), two.name()], ['bulle.local', 'bulle-2.local'], 'the names');
      return two;
    });
    await t.step('each is reached by its name, with a certificate that is good for it', async () => {
      for (const [one, name] of [[first, 'bulle.local'], [second, 'bulle-2.local']]) {
        const address = await multicast(t, name);
        expectEqual(address, t.net.address(one.host), `the address of ${name}`);
        const page = await curl(t, 'p1', '--cacert', one.ca, '--resolve', `${name}:8443:${address}`, `https://${name}:8443/healthz`);
        expectEqual(page, 'ok\n', name);
      }
    });
    await t.step('an address that comes later is announced as well', async () => {
      await t.net.inside('b1', 'ip', ['addr', 'add', '10.77.0.99/24', 'dev', 'eth0']);
      await until('the new address', async () => (await multicast(t, 'bulle.local', 'all')).includes('10.77.0.99'), 20_000);
    });
  },
};

// Asks the link itself, as phones do for `.local` names (RFC 6762 section 5.1): one question, one answer.
const ASK = `
import socket, struct, sys
name, address = sys.argv[1:3]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
s.settimeout(2)
question = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\\0'
s.sendto(struct.pack('>6H', 1, 0, 1, 0, 0, 0) + question + struct.pack('>2H', 1, 1), ('224.0.0.251', 5353))
try: answer = s.recv(2000)
except TimeoutError: sys.exit()
at, found = 12, []
def skip(at):
    while answer[at]:
        if answer[at] >= 192: return at + 2
        at += 1 + answer[at]
    return at + 1
questions, answers = struct.unpack('>2H', answer[4:8])
for _ in range(questions): at = skip(at) + 4
for _ in range(answers):
    at = skip(at)
    kind, _, _, length = struct.unpack('>2HIH', answer[at:at + 10])
    if kind == 1: found.append(socket.inet_ntoa(answer[at + 10:at + 14]))
    at += 10 + length
print(' '.join(found))
`;

async function multicast(t, name, which = 'one') {
  const found = (await t.net.inside('p1', 'python3', ['-c', ASK, name, t.net.address('p1')])).trim().split(' ');
  return which === 'one' ? found[0] : found;
}
