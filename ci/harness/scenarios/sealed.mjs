// Nothing leaves the bubble, and nobody gets in without the box's authority.

import { gunzipSync, brotliDecompressSync } from 'node:zlib';
import { expect, expectEqual } from '../lib/scenario.mjs';
import { BOX_NAME } from '../lib/net.mjs';
import { HTTP_PORT, ORIGIN } from '../lib/box.mjs';

// Written in a served file, yet fetched by nobody: names of XML vocabularies, and the manual that a
// library names in an error text.
const NAMES_ONLY = [/^www\.w3\.org\/(?:2000\/svg|1999\/x)/, /^docs\.rs\/getrandom#/];

export const noRouteOut = {
  about: 'with a trap as the only route out, nothing outside the bubble is contacted',
  limit_s: 120,
  async run(t) {
    await t.bubble({ phones: ['p1', 'p2'], routeless: ['p2'] });
    const [ada, grace] = await t.step('a browser with a trap for a route, and one without any', () => Promise.all([
      t.person('Ada Tester', 'p1'),
      t.person('Grace Tester', 'p2'),
    ]));
    const requests = [];
    for (const person of [ada, grace]) {
      person.phone.context.on('request', (request) => requests.push(request.url()));
      person.page.on('websocket', (socket) => requests.push(socket.url()));
    }
    await t.step('the trap works: a foreign name and address are caught', async () => {
      const curl = (url) => t.net.inside('p1', 'curl', ['--silent', '--max-time', '1', url]).catch(() => {});
      await Promise.all([curl('http://caught.example.invalid/'), curl('http://192.0.2.1/')]);
      t.provoked = await t.net.escapes();
      expect(t.provoked.packets > 0, 'a packet to a foreign address was not caught: the trap proves nothing');
      expect(t.provoked.names.includes('caught.example.invalid'), 'a foreign name was not caught: the trap proves nothing');
    });
    await t.step('both join', () => Promise.all([ada.join(t.link), grace.join(t.link)]));
    await t.step('each opens the conversation', () => Promise.all([ada.open(grace), grace.open(ada)]));
    await t.exchange(ada, grace, 'first');
    await t.step('they find a way that is direct', () => Promise.all([ada.path('direct'), grace.path('direct')]));
    await t.exchange(ada, grace, 'direct');
    await t.step('the page asked nobody but the box', () => {
      const foreign = requests.filter((url) => !/^(?:blob|data|about):/.test(url) && new URL(url).host !== new URL(ORIGIN).host);
      expectEqual(foreign, [], 'requests to others');
      t.note('requests', requests.length);
    });
    await t.step('no file that the box serves names a foreign host', async () => {
      const files = await served(ada, t.net);
      t.note('served', [...files.keys()]);
      const foreign = [];
      for (const [path, bytes] of files) {
        // Letters, digits and dots of a host name after the scheme, in text and in WebAssembly alike.
        for (const [, place, host] of bytes.toString('latin1').matchAll(/(?:https?|wss?|stuns?|turns?):\/{0,2}(([a-z0-9-]+(?:\.[a-z0-9-]+)+)[\w/.#-]{0,40})/gi)) {
          if (!NAMES_ONLY.some((known) => known.test(place)) && host !== BOX_NAME) foreign.push(`${path}: ${place}`);
        }
      }
      expectEqual([...new Set(foreign)], [], 'foreign hosts in served files');
    });
  },
};

// Everything reachable from the first page: what it links, what that links, what was loaded.
async function served(person, net) {
  const loaded = await person.page.evaluate(() => performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname));
  const waiting = new Set(['/', ...loaded]);
  const files = new Map();
  const fetchFile = async (path) => {
    // The server's encoding is undone here, so that compressed text cannot hide a name.
    const url = `${ORIGIN}${path}`;
    const text = await net.inside('box', 'curl', ['--silent', '--insecure', '--max-time', '10', '--dump-header', '-', '--output', '/tmp/served', '-H', 'Accept-Encoding: identity', url]);
    const { readFileSync } = await import('node:fs');
    const bytes = readFileSync('/tmp/served');
    if (!/^HTTP\/\S+ 200/.test(text)) return;
    if (/^content-encoding: *br/im.test(text)) return brotliDecompressSync(bytes);
    if (/^content-encoding: *gzip/im.test(text)) return gunzipSync(bytes);
    return bytes;
  };
  for (const path of waiting) {
    const bytes = await fetchFile(path);
    if (!bytes) continue;
    files.set(path, bytes);
    for (const [, name] of bytes.toString('latin1').matchAll(/["'(/]([\w.-]+\.(?:js|mjs|wasm|css|svg|png|webmanifest|json|html))\b/g)) {
      waiting.add(`/${name}`);
    }
  }
  return files;
}

export const untrustedAuthority = {
  about: 'a phone that does not trust the box gets its browser\'s warning, and the plain page helps',
  async run(t) {
    await t.bubble({ phones: ['p1'] });
    const trusting = t.authority;
    t.authority = undefined;
    const ada = await t.step('a browser that trusts nobody', () => t.person('Ada Tester', 'p1', { trace: false }));
    t.authority = trusting;
    // Chromium suspects a captive portal behind a certificate that it cannot trust.
    t.ofBrowser.push('connectivitycheck.gstatic.com');
    await t.step('the page does not open', async () => {
      const error = await ada.page.goto(`${ORIGIN}/`).then(() => undefined, (reason) => reason.message);
      expect(/ERR_CERT_AUTHORITY_INVALID/.test(error ?? ''), `wanted the browser's certificate warning, got: ${error ?? 'the page'}`);
    });
    await t.step('the page without encryption opens, and offers the certificate', async () => {
      // Another tab: the first one is still busy with showing the warning.
      const page = await ada.phone.context.newPage();
      await page.goto(`http://${BOX_NAME}:${HTTP_PORT}/`);
      const links = await page.$$eval('a', (all) => all.map((link) => link.getAttribute('href')));
      expect(links.some((link) => /ca\.crt$/.test(link)), `no link to the certificate among ${JSON.stringify(links)}`);
      const scripts = await page.$$eval('script', (all) => all.length);
      expectEqual(scripts, 0, 'scripts on the page without encryption');
    });
  },
};
