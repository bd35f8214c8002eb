// Looks for a service by mDNS (RFC 6763) as a computer on the network does, and prints what it found:
//
//   node browse.mjs _bulle._tcp.local SECONDS
//
// One line of JSON: { service, host, port, address }. Exit status 1 when nobody answered in time.

import { networkInterfaces } from 'node:os';
import mdns from 'multicast-dns';

const [service, seconds] = process.argv.slice(2);
const own = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === 'IPv4' && !internal);
const socket = mdns({ interface: own?.address, bind: '0.0.0.0', loopback: false });
const known = new Map();
const note = ({ name, type, data }) => known.set(`${type} ${name.toLowerCase()}`, data);
const find = (type, name) => name && known.get(`${type} ${name.toLowerCase()}`);

function ask() {
  const instance = find('PTR', service);
  const { target, port } = find('SRV', instance) ?? {};
  const address = find('A', target);
  if (address) {
    console.log(JSON.stringify({ service: instance, host: target, port, address }));
    process.exit(0);
  }
  const [type, name] = target ? ['A', target] : instance ? ['SRV', instance] : ['PTR', service];
  socket.query([{ name, type }]);
}

socket.on('response', ({ answers, additionals }) => {
  for (const record of [...answers, ...additionals]) note(record);
  ask();
});
setInterval(ask, 1000);
setTimeout(() => process.exit(1), Number(seconds) * 1000);
