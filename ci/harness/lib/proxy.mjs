// A proxy as some networks have them: it ends TLS with a certificate that the phones trust, passes requests on to the
// box, and refuses every WebSocket. Runs in a namespace of its own.
//
//   proxy.mjs CERTIFICATE KEY AUTHORITY BOX NAME PORT
//
// Orders come one per line: `offer` lets WebSockets pass from now on, `refuse` refuses them again and cuts those that
// are open, `lose N` lets the box do what the next N requests of sessions ask and drops its answers.

import { readFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:https';
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';

const [certificate, key, authority, host, servername, port] = process.argv.slice(2);
const box = { host, port, servername, ca: readFileSync(authority) };
const agent = new Agent({ keepAlive: false });
const say = (line) => process.stdout.write(`${line}\n`);

let offering = false;
let losing = 0;
const tunnels = new Set();

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (asked, answer) => {
  const { method, url: path } = asked;
  if (/^\/session\//.test(path)) say(`asked for ${path}`);
  const { connection: _, ...headers } = asked.headers;
  const onward = request({ ...box, agent, method, path, headers }, (said) => {
    if (losing > 0 && /^\/session\/(send|poll)/.test(path) && said.statusCode < 300) {
      losing -= 1;
      // The box has said all of it before it is lost.
      said.resume().on('end', () => {
        answer.destroy();
        say(`lost ${path}, ${losing} to go`);
      });
      return;
    }
    const { connection: __, ...own } = said.headers;
    answer.writeHead(said.statusCode, own);
    said.pipe(answer);
  });
  onward.on('error', () => answer.destroy());
  answer.on('close', () => answer.writableFinished || onward.destroy());
  asked.pipe(onward);
});

server.on('upgrade', (asked, phone, early) => {
  phone.on('error', () => {});
  if (!offering) {
    say('refused a WebSocket');
    phone.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    return;
  }
  const onward = connect(box, () => {
    const lines = asked.rawHeaders.flatMap((name, at, all) => (at % 2 ? [] : [`${name}: ${all[at + 1]}`]));
    onward.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    onward.write(early);
    phone.pipe(onward).pipe(phone);
    say('passed a WebSocket');
  });
  tunnels.add(phone);
  onward.on('error', () => phone.destroy());
  onward.on('close', () => phone.destroy());
  phone.on('close', () => {
    tunnels.delete(phone);
    onward.destroy();
  });
});

// Longer than anything is held.
server.keepAliveTimeout = 60_000;
server.listen(Number(port), () => say('listening'));

createInterface({ input: process.stdin }).on('line', (line) => {
  const [order, count] = line.split(' ');
  if (order === 'lose') losing = Number(count);
  if (order === 'offer') offering = true;
  if (order === 'refuse') {
    offering = false;
    for (const phone of tunnels) phone.destroy();
  }
});
