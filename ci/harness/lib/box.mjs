// The real daemon in the box's namespace, with a state directory of its own.

import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { run } from './process.mjs';
import { BOX_NAME } from './net.mjs';
import { leaks } from './leaks.mjs';

const PROGRAM = process.env.BULLE_BIN ?? '/ws/out/bin/amd64/bulle';
export const HTTPS_PORT = 8443;
export const HTTP_PORT = 8080;
// For scenarios about what is left without any relayed way.
export const NO_TURN = '\n[turn]\nlisten = []\n';
export const ORIGIN = `https://${BOX_NAME}:${HTTPS_PORT}`;

export class Box {
  #net;
  #dir;
  #daemon;
  #starts = 0;
  #spoke = [];

  // `settings` are further lines of its settings file.
  constructor(net, dir, settings = '') {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: ci/build makes it`);
    this.#net = net;
    this.#dir = dir;
    mkdirSync(`${dir}/state`, { recursive: true });
    chmodSync(`${dir}/state`, 0o700);
    writeFileSync(`${dir}/bulle.toml`, `[http]\nnames = ["${BOX_NAME}"]\n\n[state]\ndir = "${dir}/state"\n${settings}`);
  }

  // Ready when it says where it is, having bound everything that it serves. `around` is a command that
  // becomes the box.
  async start(around = []) {
    this.#starts += 1;
    const [command, ...args] = [...around, PROGRAM, 'serve', '--config', `${this.#dir}/bulle.toml`];
    this.#daemon = this.#net.service('box', command, args, {
      log: `${this.#net.logs}/box-${this.#starts}.log`,
    });
    this.#spoke.push(this.#daemon);
    await this.#daemon.line(/\bstarted\b/, 20_000);
  }

  // A power cut: nothing is said to anybody, and all that was in memory is gone.
  kill() {
    return this.#daemon.end('SIGKILL');
  }

  async stop() {
    return this.#daemon?.end('SIGTERM');
  }

  // The authority's certificate as phones get it: from the explaining page's port.
  async authority() {
    const file = `${this.#dir}/ca.crt`;
    const url = `http://${BOX_NAME}:${HTTP_PORT}/ca.crt`;
    await this.#net.inside('box', 'curl', ['--silent', '--show-error', '--fail', '--max-time', '5', '-o', file, url]);
    const kind = await run('head', ['-c', '11', file]);
    if (kind.startsWith('-----BEGIN')) return file;
    await run('openssl', ['x509', '-inform', 'DER', '-in', file, '-out', `${file}.pem`]);
    return `${file}.pem`;
  }

  // Certificate and key that it shows, for who stands in its place.
  get identity() {
    return [`${this.#dir}/state/server.crt`, `${this.#dir}/state/server.key`];
  }

  // A join link with a new secret. Made by a command of its own, so the daemon never sees it.
  // `pinned`: it says by what the box is known as a WebRTC peer. `broadcast`: all send to all.
  async invite({ pinned = false, broadcast = false } = {}) {
    const peer = pinned ? ['--peer', `${this.#dir}/state/peer.pem`] : [];
    const said = await run(PROGRAM, ['invite', '--url', ORIGIN, ...peer, ...(broadcast ? ['--broadcast'] : [])]);
    const link = /https:\/\/\S+#\S+/.exec(said);
    if (!link) throw new Error(`bulle invite printed no link:\n${said}`);
    return link[0];
  }

  // All that it holds, as `bulle dump` shows it.
  dump(bytes = false) {
    return run(PROGRAM, ['dump', '--state', `${this.#dir}/state`, ...(bytes ? ['--bytes'] : [])]);
  }

  purge() {
    return run(PROGRAM, ['purge', '--state', `${this.#dir}/state`]);
  }

  // Waits until its log says this.
  said(pattern, limit) {
    return this.#daemon.line(pattern, limit);
  }

  // Every file that is its own, that it has open, or that keeps what it says.
  files() {
    const state = readdirSync(`${this.#dir}/state`).map((name) => `${this.#dir}/state/${name}`);
    const open = readdirSync(`/proc/${this.pid}/fd`).map((fd) => readlinkSync(`/proc/${this.pid}/fd/${fd}`));
    const logs = Array.from({ length: this.#starts }, (_, number) => `${this.#net.logs}/box-${number + 1}.log`);
    const all = new Set([...state, ...open.filter((path) => path.startsWith('/')), ...logs, `${this.#dir}/bulle.toml`]);
    return [...all].filter((path) => existsSync(path) && lstatSync(path).isFile() && !path.startsWith('/proc/'));
  }

  get pid() {
    return this.#daemon.pid;
  }

  // What the daemon logged that it must never log: addresses, identifiers, and the words given here.
  leaked(words) {
    const found = [];
    for (const daemon of this.#spoke) {
      found.push(...leaks(daemon.errors, { words }));
      // Its greeting on standard output may name the box's own addresses and fingerprint.
      found.push(...leaks(daemon.lines, { words, shapes: false }));
    }
    return found;
  }
}
