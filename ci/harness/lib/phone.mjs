// A phone: a real browser in a network namespace of its own, with a home directory of its own whose
// trust store holds the box's authority and nothing else is special: no camera permission, addresses
// hidden behind mDNS names as for any visitor.

import { appendFileSync, cpSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium, devices } from 'playwright-core';
import { run } from './process.mjs';
import { recordConnections } from './rtc.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
// Waiting for anything in a page: long enough for a loaded machine, short enough to name the fault.
export const PATIENCE = 20_000;

export const PHONE_SCREEN = { width: 393, height: 760 };

// What a browser does by itself (updates, probes, suggestions) is switched off, so that what
// leaves the phone was caused by the page.
const QUIET = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--no-pings',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-domain-reliability',
  '--disable-sync',
  '--no-proxy-server',
  '--gaia-url=http://127.0.0.1:9/',
  '--apps-gallery-update-url=http://127.0.0.1:9/',
  '--component-updater=url-source=http://127.0.0.1:9/',
  '--disable-features=AsyncDns,DnsOverHttps,OptimizationHints,MediaRouter,DialMediaRouteProvider,NetworkTimeServiceQuerying,Translate,InterestFeedContentSuggestions,CertificateTransparencyComponentUpdater,AutofillServerCommunication',
];

// The trust store of a phone whose owner installed this authority; none leaves it empty.
async function trustStore(dir, authority) {
  const db = `sql:${dir}`;
  mkdirSync(dir, { recursive: true });
  await run('certutil', ['-d', db, '-N', '--empty-password']);
  if (authority) await run('certutil', ['-d', db, '-A', '-t', 'C,,', '-n', 'box', '-i', authority]);
}

// A home directory with that trust store at `place`. One store is made per authority, and each phone
// gets a copy: whoever comes first makes it, the others wait for it.
async function home(net, dir, host, authority, place) {
  const store = `${dir}/trust-${authority ? 'box' : 'nobody'}`;
  if (!stores.has(net)) stores.set(net, new Map());
  const made = stores.get(net);
  if (!made.has(store)) made.set(store, trustStore(store, authority));
  await made.get(store);
  const own = `${dir}/${host}`;
  mkdirSync(`${own}/${place}`, { recursive: true });
  cpSync(store, `${own}/${place}`, { recursive: true });
  return { ...process.env, HOME: own, XDG_CONFIG_HOME: `${own}/.config`, XDG_CACHE_HOME: `${own}/.cache` };
}
const stores = new WeakMap();

// Chromium. Gives `{ page, context, close }` with Playwright's own objects.
export async function chromiumPhone(net, host, { dir, log, authority, trace = true, screen, webrtc = true, options = {} }) {
  const env = await home(net, dir, host, authority, '.pki/nssdb');
  const browser = await chromium.launch({
    executablePath: here('chromium-in-namespace'),
    headless: true,
    chromiumSandbox: false,
    args: QUIET,
    env: { ...env, BULLE_NAMESPACE: net.namespace(host) },
  });
  const { defaultBrowserType: _, ...pixel } = devices['Pixel 7'];
  const context = await browser.newContext({ ...(screen ? { viewport: screen } : pixel), ...options });
  context.setDefaultTimeout(PATIENCE);
  if (trace) await context.tracing.start({ snapshots: true });
  await context.addInitScript(webrtc ? recordConnections : () => { delete window.RTCPeerConnection; });
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => appendFileSync(log, `${message.type()}: ${message.text()}\n`));
  page.on('console', (message) => isViolation(message.text()) && problems.push(message.text()));
  page.on('pageerror', (error) => {
    appendFileSync(log, `page error: ${error.stack}\n`);
    problems.push(error.message);
  });
  page.on('requestfailed', (request) => {
    appendFileSync(log, `request failed: ${withoutSecret(request.url())} ${request.failure()?.errorText}\n`);
  });
  page.on('crash', () => problems.push('the page crashed'));
  return {
    kind: 'chromium',
    // Its spelling dictionary, once somebody types.
    asks: ['redirector.gvt1.com'],
    page,
    context,
    browser,
    problems: async () => problems,
    trace: (file) => (trace ? context.tracing.stop({ path: file }) : undefined),
    close: () => browser.close(),
  };
}

// Firefox. Its driver speaks over a TCP port, so it must run inside the namespace: an agent there
// carries out what the stand-in for the page is told.
export async function firefoxPhone(net, host, { dir, log, authority, screen = PHONE_SCREEN, webrtc = true }) {
  const env = await home(net, dir, host, authority, 'profile');
  const settings = [`${dir}/${host}/profile`, JSON.stringify(screen), String(webrtc)];
  const agent = net.service(host, 'node', [here('firefox-agent.mjs'), ...settings], { log, env });
  const calls = new Map();
  let number = 0;
  await agent.line(/^\{"up":/, 60_000);
  let read = 0;
  const answers = () => {
    for (; read < agent.lines.length; read += 1) {
      if (!agent.lines[read].startsWith('{"id":')) continue;
      const { id, value, error } = JSON.parse(agent.lines[read]);
      const call = calls.get(id);
      calls.delete(id);
      if (error) call?.reject(new Error(error));
      else call?.resolve(value);
    }
  };
  const call = async (method, args) => {
    const id = ++number;
    const answer = new Promise((resolve, reject) => calls.set(id, { resolve, reject }));
    // Who gave up waiting hears of it no more.
    answer.catch(() => {});
    agent.write(`${JSON.stringify({ id, method, args: args.map((arg) => (typeof arg === 'function' ? { source: String(arg) } : { plain: arg })) })}\n`);
    // Each call has a limit of its own.
    await agent.line(new RegExp(`^\\{"id":${id},`), 6 * PATIENCE);
    answers();
    return answer;
  };
  const page = new Proxy({}, {
    // Not a thenable, or awaiting the page would call it.
    get: (_, method) => (method === 'then' ? undefined : (...args) => call(method, args)),
  });
  return {
    kind: 'firefox',
    // Its settings service, and its own host's name.
    asks: ['firefox.settings.services.mozilla.com', 'bulle'],
    page,
    problems: () => call('problems', []),
    trace: () => undefined,
    close: async () => {
      await call('quit', []).catch(() => {});
      await agent.end('SIGTERM');
    },
  };
}

// What a browser says when the page broke its own security policy.
export function isViolation(text) {
  return /Content Security Policy|TrustedHTML|TrustedScript|Trusted ?Type/i.test(text);
}

// A join link's secret stands behind the `#`; it does not belong into a log.
function withoutSecret(url) {
  return url.replace(/#.*/, '#...');
}
