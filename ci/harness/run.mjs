// The end-to-end scenarios: real browsers, the real daemon, in a network that ends at the bubble.
//
//   ci/e2e [NAME...] [--list] [--jobs N] [--image | --no-image]
//
// NAME        only these scenarios, in the order given
// --list      their names, and what each shows
// --jobs      how many at a time (default: one per processor, at most 4); some run alone in any case
// --image     only those that boot an image of the box; --no-image: only the others
//
// Logs, and for a failure screenshots and traces, are in out/e2e/NAME/; the whole result is in
// out/e2e/results.json. The last line is `N passed, N failed`.

import { availableParallelism } from 'node:os';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { OUT, runScenario } from './lib/scenario.mjs';
import { scenarios } from './scenarios/all.mjs';

const wanted = [];
let image;
let jobs = Math.min(4, availableParallelism());
const args = process.argv.slice(2);
while (args.length) {
  const arg = args.shift();
  if (arg === '--list') {
    for (const [name, { about }] of Object.entries(scenarios)) console.log(`${name.padEnd(24)} ${about}`);
    process.exit(0);
  } else if (arg === '--help' || arg === '-h') {
    const text = readFileSync(fileURLToPath(import.meta.url), 'utf8');
    console.log(text.split('\n').slice(0, 12).map((line) => line.replace(/^\/\/ ?/, '')).join('\n'));
    process.exit(0);
  } else if (arg === '--jobs') {
    jobs = Number(args.shift());
    if (!(jobs >= 1 && jobs <= 16)) fail('--jobs wants a number from 1 to 16');
  } else if (arg === '--image' || arg === '--no-image') {
    image = arg === '--image';
  } else if (arg in scenarios) {
    wanted.push(arg);
  } else {
    fail(`there is no scenario called '${arg}'; see ci/e2e --list`);
  }
}

const names = (wanted.length ? wanted : Object.keys(scenarios))
  .filter((name) => image === undefined || image === Boolean(scenarios[name].image));
const results = [];
const began = performance.now();
const together = names.filter((name) => !scenarios[name].alone);
await Promise.all(Array.from({ length: Math.min(jobs, together.length) }, () => work(together)));
await work(names.filter((name) => scenarios[name].alone));

async function work(waiting) {
  for (let name; (name = waiting.shift());) {
    const tell = (line) => console.log(`  ${name.padEnd(22)} ${line}`);
    console.log(`${name}: ${scenarios[name].about}`);
    const result = await runScenario(name, scenarios[name], tell);
    results.push(result);
    if (result.passed) console.log(`${name}: passed in ${result.seconds} s`);
    else console.log(`${name}: FAILED after ${result.seconds} s, while: ${result.during}\n${indent(result.error)}\n    see out/e2e/${name}/`);
  }
}

const seconds = Math.round((performance.now() - began) / 1000);
mkdirSync(OUT, { recursive: true });
writeFileSync(`${OUT}/results.json`, `${JSON.stringify({ seconds, jobs, results }, null, 2)}\n`);
const failed = results.filter((result) => !result.passed);
console.log(`\n${seconds} s in all, ${jobs} at a time`);
for (const { name, during, error } of failed) console.log(`failed: ${name}, while: ${during}; ${error.split('\n', 1)[0]}`);
console.log(`${results.length - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length ? 1 : 0);

function indent(text) {
  return text.split('\n').slice(0, 14).map((line) => `    ${line}`).join('\n');
}

function fail(why) {
  console.error(`error: ${why}`);
  process.exit(2);
}
