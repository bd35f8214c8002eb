// A session with the box as docs/protocol/session.md has it, no more of it than a test needs: it opens one by either
// carrier, asks, and hears what is delivered. It keeps nothing, and nothing of a person is in it.

const DIAL_LIMIT = 8_000;
const ANSWER_LIMIT = 10_000;
const QUEUE = 1;
// The class of what is kept for the shortest time.
const BRIEF = 0;
const BLOCK = 4096;

// What went wrong, by a word that the page has a text for.
export class Failure extends Error {
  constructor(word) {
    super(word);
    this.word = word;
  }
}

export const within = (limit, word, work) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failure(word)), limit);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
};

// CBOR (RFC 8949), as far as frames have it: whole numbers, bytes, texts, arrays, in the shortest form.
export function encode(value) {
  const out = [];
  const head = (major, number) => {
    if (number < 24) out.push((major << 5) | number);
    else if (number < 0x100) out.push((major << 5) | 24, number);
    else if (number < 0x1_0000) out.push((major << 5) | 25, number >> 8, number & 0xff);
    else out.push((major << 5) | 26, number >>> 24, (number >> 16) & 0xff, (number >> 8) & 0xff, number & 0xff);
  };
  const put = (item) => {
    if (Array.isArray(item)) {
      head(4, item.length);
      item.forEach(put);
    } else if (item instanceof Uint8Array) {
      head(2, item.length);
      for (const byte of item) out.push(byte);
    } else {
      head(0, item);
    }
  };
  put(value);
  return new Uint8Array(out);
}

// Throws at whatever is not that, or has bytes after it.
export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const number = (info) => {
    if (info < 24) return info;
    const size = { 24: 1, 25: 2, 26: 4, 27: 8 }[info];
    const from = at;
    at += size ?? NaN;
    if (size === 1) return view.getUint8(from);
    if (size === 2) return view.getUint16(from);
    if (size === 4) return view.getUint32(from);
    return Number(view.getBigUint64(from));
  };
  const item = (depth) => {
    const first = view.getUint8(at);
    at += 1;
    const count = number(first & 31);
    switch (first >> 5) {
      case 0:
        return count;
      case 2:
      case 3: {
        if (!(at + count <= bytes.length)) throw new RangeError('cut short');
        const part = bytes.slice(at, at + count);
        at += count;
        return first >> 5 === 2 ? part : new TextDecoder().decode(part);
      }
      case 4: {
        if (depth > 3 || !(count <= 8)) throw new RangeError('no frame');
        return Array.from({ length: count }, () => item(depth + 1));
      }
      default:
        throw new RangeError('no frame');
    }
  };
  const value = item(0);
  if (at !== bytes.length) throw new RangeError('bytes after the frame');
  return value;
}

// The carriers: each calls `heard(bytes)` for every frame, and `over()` when it ends by itself.

async function byWebsocket(heard, over) {
  const socket = new WebSocket(`wss://${location.host}/session`, 'bulle.v1');
  socket.binaryType = 'arraybuffer';
  try {
    await within(DIAL_LIMIT, 'silent', new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = () => reject(new Failure('refused'));
    }));
  } catch (failure) {
    socket.close();
    throw failure;
  }
  socket.onclose = over;
  socket.onmessage = (event) => heard(new Uint8Array(event.data));
  return { send: (frame) => socket.send(frame), close: () => socket.close() };
}

async function byRequests(heard, over) {
  const gone = new AbortController();
  let token;
  const post = async (target, body) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const answer = await fetch(`/session/${target}`, { method: 'POST', headers, body, signal: gone.signal });
    if (!answer.ok) throw new Failure('refused');
    return answer;
  };
  token = await within(DIAL_LIMIT, 'silent', post('open').then((answer) => answer.text()));
  const listen = async () => {
    for (let has = 0; !gone.signal.aborted;) {
      const piece = new Uint8Array(await (await post(`poll?${has}`)).arrayBuffer());
      const view = new DataView(piece.buffer);
      for (let at = 0; at + 4 <= piece.length;) {
        const length = view.getUint32(at);
        heard(piece.subarray(at + 4, at + 4 + length));
        at += 4 + length;
      }
      if (piece.length) has += 1;
    }
  };
  listen().catch(over);
  // One piece after the other.
  let said = 0;
  let before = Promise.resolve();
  const send = (frame) => {
    const piece = new Uint8Array(4 + frame.length);
    new DataView(piece.buffer).setUint32(0, frame.length);
    piece.set(frame, 4);
    said += 1;
    const number = said;
    before = before.then(() => post(`send?${number}`, piece)).catch(over);
  };
  const close = async () => {
    await before;
    const last = { method: 'POST', headers: { authorization: `Bearer ${token}` } };
    gone.abort();
    // Whatever comes of it: the box notices by itself that nobody asks any more.
    await fetch('/session/close', last).catch(() => {});
  };
  return { send, close };
}

export const WAYS = { websocket: byWebsocket, requests: byRequests };

export class Session {
  #carrier;
  #waiting = new Set();
  #early = [];
  #over = false;
  #req = 0;

  // Opens one this way, and waits until the box greets.
  static async open(way) {
    const session = new Session();
    session.#carrier = await WAYS[way]((frame) => session.#heard(frame), () => session.#end());
    const [, [, challenge, turnPort]] = await session.#hear(([kind]) => kind === 0);
    return Object.assign(session, { way, challenge, turnPort });
  }

  // TURN credentials, or nothing where the box has no TURN.
  async credentials() {
    const answer = await this.#ask(5, (req) => [req]);
    return answer[0] === 5 ? { username: answer[1][1], credential: answer[1][2] } : null;
  }

  // Puts noise into a queue of our own and takes it out again; the milliseconds that it took, or `null` where this
  // browser cannot sign and the way back is left out.
  async deposit() {
    const pair = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']).catch(() => null);
    const key = pair ? new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)) : random(32);
    const address = new Uint8Array(await crypto.subtle.digest('SHA-256', joined('bulle/1 address', key)));
    if (pair) {
      const signed = await crypto.subtle.sign('Ed25519', pair.privateKey, joined('bulle/1 subscribe', this.challenge, key));
      await this.#granted(0, (req) => [req, QUEUE, key, new Uint8Array(signed), 0]);
    }
    const envelope = random(BLOCK);
    const began = performance.now();
    const back = pair ? this.#hear(([kind, fields]) => kind === 4 && same(fields[0], address)) : null;
    // Whoever is refused hears of that alone.
    back?.catch(() => {});
    await this.#granted(2, (req) => [req, address, BRIEF, envelope]);
    if (!back) return null;
    const [, [, seq, delivered]] = await back;
    const took = performance.now() - began;
    this.#say(4, [address, seq, seq]);
    this.#say(1, [address]);
    if (!same(delivered, envelope)) throw new Failure('changed');
    return took;
  }

  // Goes for good: what it was given ends with it.
  close() {
    if (!this.#over) this.#say(8, []);
    this.#over = true;
    return this.#carrier.close();
  }

  #say(kind, fields) {
    this.#carrier.send(encode([kind, fields]));
  }

  // One request until its answer: all that answer one have its number first.
  #ask(kind, fields) {
    const req = ++this.#req;
    const answer = this.#hear(([said, [number]]) => [1, 2, 5, 6].includes(said) && number === req);
    this.#say(kind, fields(req));
    return answer;
  }

  async #granted(kind, fields) {
    const answer = await this.#ask(kind, fields);
    if (answer[0] === 6) throw new Failure('full');
  }

  #hear(wanted) {
    const at = this.#early.findIndex(wanted);
    if (at >= 0) return Promise.resolve(this.#early.splice(at, 1)[0]);
    if (this.#over) return Promise.reject(new Failure('cut'));
    return within(ANSWER_LIMIT, 'silent', new Promise((resolve, reject) => {
      this.#waiting.add({ wanted, resolve, reject });
    }));
  }

  #heard(bytes) {
    let frame;
    try {
      frame = decode(bytes);
    } catch {
      return this.#end();
    }
    for (const one of this.#waiting) {
      if (one.wanted(frame)) {
        this.#waiting.delete(one);
        return one.resolve(frame);
      }
    }
    // A test says and hears a handful of frames.
    if (this.#early.length < 16) this.#early.push(frame);
    return undefined;
  }

  #end() {
    this.#over = true;
    for (const one of this.#waiting) one.reject(new Failure('cut'));
    this.#waiting.clear();
  }
}

function random(length) {
  return crypto.getRandomValues(new Uint8Array(length));
}

// What is hashed or signed: a label, the kind of mailbox, and what it is about.
function joined(label, ...parts) {
  const head = [...new TextEncoder().encode(label), 0, QUEUE];
  return new Uint8Array(parts.reduce((all, part) => [...all, ...part], head));
}

function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
