// Figures that only a browser can give.
//
//   node bench.mjs [NAME...] [--rounds N] [--list]
//
// page-ready   from opening a join link to the first screen and to the page being usable, on an
//              emulated mid-range phone (processor slowed four times), with nothing cached
// resume       from the moment in which the connections of both phones are cut until a message is read that was written
//              then, through the mailbox
// connect      from opening a conversation to the direct, and to the relayed, path
//
// Prints one line `NAME VALUE UNIT` per figure; all rounds and the versions are in out/bench/NAME.json.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { HTTPS_PORT, NO_TURN } from './lib/box.mjs';
import { Stage } from './lib/scenario.mjs';

// A mid-range phone against the machine that runs this; the worker's own thread is not slowed by Chromium.
const SLOWED = 4;

const benches = {
  'page-ready': async (rounds) => {
    const figures = { 'first-screen': [], ready: [], 'first-screen-unslowed': [], 'ready-unslowed': [] };
    let version;
    await onStage('page-ready', ['p1'], async (t) => {
      for (let round = 0; round < rounds; round += 1) {
        for (const [slow, suffix] of [[SLOWED, ''], [1, '-unslowed']]) {
          // A new browser each time: an empty cache, no compiled code, no open connection.
          const { phone, page } = await t.person('Ada Tester', 'p1', { trace: false });
          version = phone.browser.version();
          const cdp = await phone.context.newCDPSession(page);
          await cdp.send('Emulation.setCPUThrottlingRate', { rate: slow });
          await page.goto(t.link);
          for (const [mark, figure] of [['bulle-first-screen', 'first-screen'], ['bulle-ready', 'ready']]) {
            await page.waitForFunction((name) => performance.getEntriesByName(name).length > 0, mark, { timeout: 60_000 });
            figures[figure + suffix].push(await page.evaluate((name) => performance.getEntriesByName(name)[0].startTime, mark));
          }
          await phone.close();
        }
      }
    });
    return { figures, unit: 'ms', facts: { chromium: version, slowed: SLOWED } };
  },

  connect: async (rounds) => {
    const figures = { direct: [], relayed: [] };
    let version;
    for (const path of Object.keys(figures)) {
      for (let round = 0; round < rounds; round += 1) {
        await onStage(`connect-${path}`, ['p1', 'p2'], async (t) => {
          if (path === 'relayed') await t.net.isolate(['p1', 'p2']);
          const [ada, grace] = await Promise.all([
            t.person('Ada Tester', 'p1', { trace: false }),
            t.person('Grace Tester', 'p2', { trace: false }),
          ]);
          version = ada.phone.browser.version();
          await Promise.all([ada.join(t.link), grace.join(t.link)]);
          await Promise.all([ada.sees(grace), grace.sees(ada)]);
          const began = performance.now();
          await Promise.all([ada.open(grace), grace.open(ada)]);
          await Promise.all([ada.path(path), grace.path(path)]);
          figures[path].push(performance.now() - began);
        });
      }
    }
    return { figures, unit: 'ms', facts: { chromium: version } };
  },

  resume: async (rounds) => {
    const figures = { resumed: [] };
    let version;
    await onStage('resume', ['p1', 'p2'], async (t) => {
      const [ada, grace] = await t.pair();
      version = ada.phone.browser.version();
      for (let round = 0; round < rounds; round += 1) {
        await t.exchange(ada, grace, `before-${round}`);
        await cut(t.net);
        const began = performance.now();
        await ada.write(`after-${round}`);
        await grace.reads(`after-${round}`, 60_000);
        figures.resumed.push(performance.now() - began);
      }
    }, { settings: NO_TURN, before: (net) => net.block('udp') });
    return { figures, unit: 'ms', facts: { chromium: version } };
  },
};

async function cut(net) {
  await net.inside('box', 'ss', ['-K', 'state', 'established', 'sport', '=', `:${HTTPS_PORT}`]);
}

async function onStage(name, phones, work, options) {
  const stage = new Stage(`bench-${name}`, performance.now(), () => {});
  try {
    await stage.bubble({ phones, ...options });
    await work(stage);
  } finally {
    await stage.down();
  }
}

const wanted = [];
let rounds = 5;
const args = process.argv.slice(2);
while (args.length) {
  const arg = args.shift();
  if (arg === '--list') {
    console.log(Object.keys(benches).join('\n'));
    process.exit(0);
  } else if (arg === '--help' || arg === '-h') {
    const text = readFileSync(fileURLToPath(import.meta.url), 'utf8');
    console.log(text.split('\n').slice(0, 11).map((line) => line.replace(/^\/\/ ?/, '')).join('\n'));
    process.exit(0);
  } else if (arg === '--rounds') {
    rounds = Number(args.shift());
  } else if (arg in benches) {
    wanted.push(arg);
  } else {
    console.error(`error: there is no browser bench called '${arg}'; see --list`);
    process.exit(2);
  }
}
if (!(rounds >= 1 && rounds <= 100)) {
  console.error('error: --rounds wants a number from 1 to 100');
  process.exit(2);
}

mkdirSync('/ws/out/bench', { recursive: true });
for (const name of wanted.length ? wanted : Object.keys(benches)) {
  const { figures, unit, facts } = await benches[name](rounds);
  const medians = Object.fromEntries(Object.entries(figures).map(([figure, values]) => [figure, median(values)]));
  for (const [figure, value] of Object.entries(medians)) console.log(`${name}/${figure} ${value} ${unit}`);
  writeFileSync(`/ws/out/bench/${name}.json`, `${JSON.stringify({ name, unit, rounds, medians, figures, machine: `${cpus().length} x ${cpus()[0]?.model}`, ...facts }, null, 2)}\n`);
}
process.exit(0);

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const value = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return Math.round(value * 10) / 10;
}
