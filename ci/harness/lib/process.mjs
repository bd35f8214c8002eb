// Programs that the harness starts: short ones that are waited for, and services that run beside.
//
// A service is ready when it says so, never after a pause; all that it prints is kept in a log.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';

// Runs a program to its end and gives what it printed; anything but exit code 0 is an error.
export function run(command, args, { input = '', env = process.env, limit = 30_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: 'pipe', timeout: limit, killSignal: 'SIGKILL' });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(out);
      const how = signal ? `ended by ${signal}` : `exit code ${code}`;
      reject(new Error(`${command} ${args.join(' ')}: ${how}\n${(err || out).slice(-2000)}`));
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

export class Service {
  #child;
  #waiting = new Set();
  #ended;

  // `log` gets both streams; `lines` and `errors` keep them apart.
  constructor(command, args, { log, env = process.env } = {}) {
    this.name = [command, ...args].join(' ');
    this.lines = [];
    this.errors = [];
    const file = log && createWriteStream(log, { flags: 'a' });
    this.#child = spawn(command, args, { env, stdio: 'pipe' });
    this.#child.stdin.on('error', () => {});
    this.#read(this.#child.stdout, this.lines, file);
    this.#read(this.#child.stderr, this.errors, file);
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', (error) => resolve(`did not start: ${error.message}`));
      this.#child.on('close', (code, signal) => resolve(signal ? `ended by ${signal}` : `exit code ${code}`));
    });
    this.#ended.then((how) => {
      this.how = how;
      file?.end();
      for (const waiter of this.#waiting) waiter.ended(how);
    });
  }

  // The first line, already printed or yet to come, that matches; from both streams.
  line(pattern, limit = 15_000) {
    for (const line of [...this.lines, ...this.errors]) {
      const match = pattern.exec(line);
      if (match) return Promise.resolve(match);
    }
    return new Promise((resolve, reject) => {
      const done = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(waiter);
        settle(value);
      };
      const fail = (why) => done(reject, new Error(`${this.name}: ${why} before it said ${pattern}\n${this.#tail()}`));
      const waiter = {
        line: (text) => {
          const match = pattern.exec(text);
          if (match) done(resolve, match);
        },
        ended: fail,
      };
      const timer = setTimeout(fail, limit, `${limit / 1000} s passed`);
      this.#waiting.add(waiter);
      if (this.how) fail(this.how);
    });
  }

  write(text) {
    this.#child.stdin.write(text);
  }

  get pid() {
    return this.#child.pid;
  }

  // Sends a signal and waits until the process is gone.
  async end(signal = 'SIGTERM', limit = 6_000) {
    if (this.how) return this.how;
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), limit);
    const how = await this.#ended;
    clearTimeout(timer);
    return how;
  }

  #read(stream, into, file) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => {
      file?.write(chunk);
      const parts = (rest + chunk).split('\n');
      rest = parts.pop();
      for (const line of parts) {
        into.push(line);
        for (const waiter of [...this.#waiting]) waiter.line(line);
      }
    });
  }

  #tail() {
    return [...this.lines, ...this.errors].slice(-12).join('\n');
  }
}
