// Runs inside a phone's namespace and drives the machine's unpatched Firefox.
//
//   firefox-agent.mjs PROFILE SCREEN WEBRTC      one JSON call per line in, one JSON answer per line out
//
// The older of the two drivers is used: the newer one asks for commands that this Firefox lacks.

import { createInterface } from 'node:readline';
import { firefox } from 'playwright-core-firefox';
import { PATIENCE, isViolation } from './phone.mjs';
import { recordConnections } from './rtc.mjs';

const [profile, screen, webrtc] = process.argv.slice(2);

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// Firefox has many services of its own; none may speak up during a scenario.
const QUIET = {
  'media.peerconnection.enabled': webrtc === 'true',
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.trr.mode': 5,
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.region.network.url': '',
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.push.connection.enabled': false,
  'extensions.systemAddon.update.enabled': false,
  'extensions.update.enabled': false,
  'media.gmp-manager.updateEnabled': false,
  'services.settings.server': '',
  'toolkit.telemetry.enabled': false,
  'toolkit.telemetry.server': '',
};

const context = await firefox.launchPersistentContext(profile, {
  executablePath: '/usr/bin/firefox-esr',
  channel: 'moz-firefox',
  firefoxUserPrefs: QUIET,
  viewport: JSON.parse(screen),
});
context.setDefaultTimeout(PATIENCE);
await context.addInitScript(recordConnections);
const page = context.pages()[0] ?? (await context.newPage());
const problems = [];
page.on('console', (message) => {
  process.stderr.write(`${message.type()}: ${message.text()}\n`);
  if (isViolation(message.text())) problems.push(message.text());
});
page.on('pageerror', (error) => {
  process.stderr.write(`page error: ${error.stack}\n`);
  problems.push(error.message);
});
say({ up: context.browser()?.version() ?? 'firefox' });

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, args } = JSON.parse(line);
  // Functions travel as text; they use nothing but their arguments.
  const real = args.map(({ source, plain }) => (source ? new Function(`return (${source})`)() : plain));
  // Not awaited: a call that waits for the page must not hold up the calls behind it.
  answer(method, real).then(
    (value) => say({ id, value: serializable(value) }),
    (error) => say({ id, error: error.message.slice(0, 2000) }),
  );
}
await context.close();
process.exit(0);

async function answer(method, args) {
  if (method === 'problems') return problems;
  if (method === 'quit') {
    await context.close();
    setImmediate(() => process.exit(0));
    return null;
  }
  return page[method](...args);
}

// Handles of the driver mean nothing on the other side.
function serializable(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value) && value.constructor !== Object ? null : value ?? null;
}
