// Native phones (ci/phones), which stand for browsers where a browser is too heavy.

import { existsSync } from 'node:fs';
import { expect } from './scenario.mjs';
import { ORIGIN } from './box.mjs';

const PROGRAM = process.env.BULLE_PHONES ?? '/ws/out/bin/amd64/phones';

// So many talk in pairs by that path, on that host; returns when every message has arrived.
export function talk(t, host, { count, messages, path, more = [] }) {
  expect(existsSync(PROGRAM), `${PROGRAM} is missing: ci/build tools makes it`);
  return t.net.inside(host, PROGRAM, [
    '--url', ORIGIN, '--ca', t.authority, '--count', String(count), '--messages', String(messages),
    '--path', path, '--seconds-limit', '60', ...more,
  ], { limit: 75_000 });
}
