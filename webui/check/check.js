// The page that tests a phone: what is tested, in which order, and how it is shown. Its words are in check-text.js.
//
// It is a page of its own, so that nobody else loads it. It opens a session of its own, of which nothing remains, and
// keeps nothing; the result that can be copied holds outcomes and times alone.
//
// Trusted Types: the one policy, `bulle`, lets through nothing but the worker's own name.

import { Session, within } from '{{check-session.js}}';
import { available, connect, look, servers } from '{{check-rtc.js}}';
import * as text from '{{check-text.js}}';

const WORKER = '{{worker.js}}';
const WORKER_LIMIT = 30_000;
// The clock of a phone is off by seconds; what depends on it takes minutes.
const CLOCK_SLACK_S = 90;
const CLOCK_LIMIT = 10_000;
const LISTEN_MS = 4_000;
// Below this it is the noise of the microphone itself.
const HEARD = 0.02;

const trusted = (() => {
  const rules = {
    createScriptURL(url) {
      if (url !== WORKER) throw new TypeError('not a script of this page');
      return url;
    },
  };
  return globalThis.trustedTypes ? globalThis.trustedTypes.createPolicy('bulle', rules) : rules;
})();

// The probes. Each gives `[state, outcome, figure]`; the outcome names a text, the figure goes into it.

function secure() {
  const fine = globalThis.isSecureContext && globalThis.crypto?.subtle;
  return fine ? ['good', 'good'] : ['bad', 'bad'];
}

async function worker() {
  if (typeof WebAssembly !== 'object' || !WebAssembly.instantiate) return ['bad', 'wasm'];
  let started;
  try {
    started = new Worker(trusted.createScriptURL(WORKER), { type: 'module', name: 'bulle' });
    await within(WORKER_LIMIT, 'silent', new Promise((resolve, reject) => {
      // It says that it listens as soon as it does.
      started.onmessage = resolve;
      started.onerror = reject;
    }));
    return ['good', 'good'];
  } catch {
    return ['bad', 'bad'];
  } finally {
    started?.terminate();
  }
}

// Opens a session as the client does: by a WebSocket, and by plain requests where that is refused.
async function enter(report) {
  for (const [way, outcome] of [['websocket', ['good', 'good']], ['requests', ['note', 'note']]]) {
    try {
      const session = await Session.open(way);
      report('websocket', outcome);
      return session;
    } catch {
      // The next way, or none.
    }
  }
  report('websocket', ['bad', 'bad']);
  return null;
}

async function mailbox(session) {
  if (!session) return ['skipped', 'skipped'];
  try {
    const time = await session.deposit();
    return time === null ? ['good', 'oneway'] : ['good', session.way, time];
  } catch (failure) {
    return ['bad', failure.word === 'full' ? 'full' : 'bad'];
  }
}

async function clock() {
  try {
    const began = Date.now();
    const answer = await within(CLOCK_LIMIT, 'silent', fetch('/healthz', { cache: 'no-store' }));
    const said = Date.parse(answer.headers.get('date'));
    if (Number.isNaN(said)) return ['skipped', 'skipped'];
    // What the box says is cut to whole seconds.
    const off = ((began + Date.now()) / 2 - said - 500) / 1000;
    if (Math.abs(off) <= CLOCK_SLACK_S) return ['good', 'good'];
    return ['note', off > 0 ? 'ahead' : 'behind', Math.abs(off)];
  } catch {
    return ['skipped', 'skipped'];
  }
}

const tried = async (work) => {
  try {
    return ['good', 'good', await work];
  } catch {
    return ['bad', 'bad'];
  }
};

async function webrtc(session, report) {
  const all = ['stun', 'direct', 'udp', 'tcp', 'tls'];
  const skip = (names, outcome) => names.forEach((name) => report(name, ['skipped', outcome]));
  if (!available()) {
    skip([...all, 'vpn'], 'skipped');
    return;
  }
  const login = session?.turnPort ? await session.credentials().catch(() => null) : null;
  const without = all.filter((name) => name !== 'direct');
  const told = (name, result) => {
    report(name, result);
    return result[0] === 'good';
  };
  if (!login) {
    skip(without, session ? 'none' : 'closed');
    const direct = await tried(connect({}));
    report('direct', direct);
    report('vpn', direct[0] === 'good' ? ['skipped', 'skipped'] : ['note', 'hidden']);
    return;
  }
  const { stun, ...relays } = servers({ turnPort: session.turnPort, login });
  const over = (name) => tried(connect({ iceServers: [relays[name]], iceTransportPolicy: 'relay' }));
  const [found, , udp, tcp, tls] = await Promise.all([
    look(stun),
    tried(connect({ iceServers: [stun] })).then((result) => told('direct', result)),
    over('udp').then((result) => told('udp', result)),
    over('tcp').then((result) => told('tcp', result)),
    over('tls'),
  ]);
  // An address that is shown anyway is not found a second time: then what comes through the relay says that it answers.
  const answers = found.seen > 0 || udp;
  report('stun', answers ? ['good', 'good'] : ['bad', 'bad']);
  const mistrusted = tls[0] === 'bad' && tcp;
  report('tls', mistrusted ? ['note', 'note'] : tls);
  if (found.own === 0 && found.seen === 0) report('vpn', ['note', 'hidden']);
  else report('vpn', answers ? ['good', 'good'] : ['note', 'udp']);
}

async function microphone() {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    const word = { NotAllowedError: 'refused', NotFoundError: 'missing' }[error?.name] ?? 'bad';
    return ['bad', word];
  }
  const context = new AudioContext();
  try {
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const end = performance.now() + LISTEN_MS;
    while (performance.now() < end) {
      analyser.getFloatTimeDomainData(samples);
      if (samples.some((sample) => Math.abs(sample) > HEARD)) return ['good', 'good'];
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
    return ['note', 'quiet'];
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
  }
}

// The screen.

const at = (id) => document.getElementById(id);
const make = (tag, name, content = '') => {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = content;
  return element;
};
const rows = new Map();

// A button that is at work keeps its place and the focus, and does nothing.
const setBusy = (button, busy) => button.setAttribute('aria-disabled', String(busy));
const whenFree = (work) => ({ currentTarget }) => {
  if (currentTarget.getAttribute('aria-disabled') !== 'true') work(currentTarget);
};

function draw() {
  for (const [name, title] of Object.entries(text.TITLES)) {
    const row = make('li', '');
    row.dataset.check = name;
    const mark = make('span', 'mark');
    mark.setAttribute('aria-hidden', 'true');
    const said = make('div', 'said');
    const head = make('h2', '', title);
    const state = make('span', 'sr');
    head.append(state);
    const found = make('p', 'found');
    const advice = make('p', 'advice');
    said.append(head, found, advice);
    row.append(mark, said);
    at('checks').append(row);
    rows.set(name, { row, state, found, advice, said });
  }
  const button = make('button', '', text.TRY_MICROPHONE);
  button.type = 'button';
  button.dataset.testid = 'check-microphone';
  button.addEventListener('click', whenFree(tryMicrophone));
  rows.get('microphone').said.append(button);
  at('again').textContent = text.AGAIN;
  at('again').addEventListener('click', whenFree(run));
  at('copy').textContent = text.COPY;
  at('copy').addEventListener('click', whenFree(copy));
}

function show(name, [state, outcome, figure]) {
  const { row, state: word, found, advice } = rows.get(name);
  row.dataset.state = state;
  row.dataset.outcome = outcome ?? '';
  word.textContent = `: ${text.STATES[state]}`;
  const [what = '', todo = ''] = text.OUTCOMES[name][outcome]?.(figure) ?? [];
  found.textContent = what;
  advice.textContent = todo;
}

// All that runs by itself, each reported once.
async function run() {
  const mine = [...rows.keys()].filter((name) => name !== 'microphone');
  let done = 0;
  const progress = () => {
    at('progress').textContent = text.running(done, mine.length);
  };
  for (const name of mine) show(name, ['running']);
  for (const id of ['again', 'copy']) setBusy(at(id), true);
  at('result').hidden = true;
  at('copied').textContent = '';
  at('checks').setAttribute('aria-busy', 'true');
  progress();
  const report = (name, result) => {
    show(name, result);
    done += 1;
    progress();
  };
  report('secure', secure());
  const aside = Promise.all([
    worker().then((result) => report('worker', result)),
    clock().then((result) => report('clock', result)),
  ]);
  const session = await enter(report);
  report('mailbox', await mailbox(session));
  await webrtc(session, report);
  await session?.close();
  await aside;
  at('checks').removeAttribute('aria-busy');
  const count = (state) => mine.filter((name) => rows.get(name).row.dataset.state === state).length;
  at('progress').textContent = text.finished({ good: count('good'), note: count('note'), bad: count('bad') });
  for (const id of ['again', 'copy']) {
    at(id).hidden = false;
    setBusy(at(id), false);
  }
  performance.mark('bulle-checked');
}

async function tryMicrophone(button) {
  setBusy(button, true);
  show('microphone', ['running', 'running']);
  const result = await microphone().catch(() => ['bad', 'bad']);
  show('microphone', result);
  setBusy(button, false);
  // The list is no live region, since it would speak all the time.
  const { found, advice } = rows.get('microphone');
  at('progress').textContent = `${text.TITLES.microphone}: ${found.textContent} ${advice.textContent}`;
}

// What stands on the screen, without what to do.
function result() {
  const line = ([name, { row, found }]) => `${text.TITLES[name]}: ${text.STATES[row.dataset.state]}. ${found.textContent}`;
  return [...rows].map(line).join('\n');
}

async function copy() {
  const said = result();
  try {
    await navigator.clipboard.writeText(said);
    at('copied').textContent = text.COPIED;
  } catch {
    at('copied').textContent = text.COPY_FAILED;
    at('result').value = said;
    at('result').hidden = false;
    at('result').select();
  }
}

draw();
show('microphone', ['idle', 'idle']);
run();
