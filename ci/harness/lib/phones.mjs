// Native phones (ci/phones), which stand for browsers where a browser is too heavy.

import { existsSync } from 'node:fs';
import { expect } from './scenario.mjs';
import { ORIGIN } from './box.mjs';

const PROGRAM = process.env.BULLE_PHONES ?? '/ws/out/bin/amd64/phones';

// So many talk in pairs by that path, on that host; returns when every message has arrived.
export function talk(t, host, { count, messages, path, limit_s = 60, more = [] }) {
  expect(existsSync(PROGRAM), `${PROGRAM} is missing: ci/build tools makes it`);
  return t.net.inside(host, PROGRAM, [
    '--url', ORIGIN, '--ca', t.authority, '--count', String(count), '--messages', String(messages),
    '--path', path, '--seconds-limit', String(limit_s), ...more,
  ], { limit: (limit_s + 15) * 1000 });
}

// So many sessions are opened at once on that host, are answered, and end; returns what it took.
export async function crowd(t, host, count, limit_s) {
  const said = await t.net.inside(host, PROGRAM, [
    '--url', ORIGIN, '--ca', t.authority, '--crowd', String(count), '--seconds-limit', String(limit_s),
  ], { limit: (limit_s + 120) * 1000 });
  return Object.fromEntries(said.trim().split('\n').map((line) => line.split(' ')));
}
