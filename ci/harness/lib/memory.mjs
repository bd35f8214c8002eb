// The memory of a process: how much it is, and what words are in it, in the way of somebody who has taken the machine.
//
// The daemon forbids debuggers; root with every capability may look all the same, and the harness is that.

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const PIECE = 4 << 20;

// The memory that a process has at the moment.
export function residentKib(pid) {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

// Every form in which a text may stand in memory or in a file: as it is, as UTF-16, in hexadecimal
// digits, and in base64 wherever it begins within a group of three bytes.
export function forms(name, value) {
  const bytes = Buffer.from(value);
  const found = [
    { name, form: 'plain', bytes },
    { name, form: 'hexadecimal', bytes: Buffer.from(bytes.toString('hex')) },
    { name, form: 'HEXADECIMAL', bytes: Buffer.from(bytes.toString('hex').toUpperCase()) },
  ];
  if (typeof value === 'string') found.push({ name, form: 'UTF-16', bytes: Buffer.from(value, 'utf16le') });
  for (const [before, alphabet] of [0, 1, 2].flatMap((before) => [[before, 'base64'], [before, 'base64url']])) {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString(alphabet).replace(/=+$/, '');
    // The first and last characters hold bits of their neighbours.
    found.push({ name, form: `${alphabet} after ${before}`, bytes: Buffer.from(text.slice(before ? 4 : 0, -2)) });
  }
  return found;
}

// The names of those that stand in `bytes`, with the form.
export function inBytes(bytes, wanted) {
  return wanted.filter(({ bytes: word }) => bytes.includes(word)).map(({ name, form }) => `${name} (${form})`);
}

// The names of those that stand anywhere in the memory of a process, and how much memory that was.
export function inMemory(pid, wanted) {
  const longest = Math.max(...wanted.map(({ bytes }) => bytes.length));
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n');
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const found = new Map();
  let read = 0;
  let unread = 0;
  try {
    const buffer = Buffer.allocUnsafe(PIECE + longest);
    for (const line of maps) {
      const [, from, to, rights, what] = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line);
      // What the kernel itself lends: its clock, and a page at an address that cannot be read.
      if (!rights.startsWith('r') || /^\[(vvar|vvar_vclock|vsyscall)\]$/.test(what)) continue;
      const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)];
      let kept = 0;
      for (let at = start; at < end;) {
        let got;
        try {
          got = readSync(memory, buffer, kept, Math.min(PIECE, end - at), at);
        } catch {
          unread += Math.min(PIECE, end - at);
          at += PIECE;
          kept = 0;
          continue;
        }
        if (!got) break;
        const piece = buffer.subarray(0, kept + got);
        for (const name of inBytes(piece, wanted)) found.set(name, what || 'memory without a name');
        // A word may begin in one piece and end in the next.
        kept = Math.min(longest - 1, piece.length);
        piece.copy(buffer, 0, piece.length - kept);
        at += got;
        read += got;
      }
    }
  } finally {
    closeSync(memory);
  }
  return { found: [...found].map(([name, where]) => `${name} in ${where}`), mib: Math.round(read / 2 ** 20), unread };
}
