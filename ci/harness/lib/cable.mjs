// A cable beside the Wi-Fi: another network, with another address of the box and a name server that tells it, as
// where a box has its own Wi-Fi and a cable into the house. Nothing leads from one network to the other.
//
// A phone that may move has an interface in each, and finds the box by its name alone: what its system would do when a
// network comes or goes (addresses, routes, and which name server to ask), is done here.

import { writeFileSync } from 'node:fs';
import { run } from './process.mjs';

const PREFIX = '10.78.0.';
const BOX = `${PREFIX}1`;
const GATEWAY = `${PREFIX}254`;

export class Cable {
  #net;
  #networks;
  // Of each phone, those that it is in, by what it prefers.
  #joined = new Map();

  constructor(net) {
    this.#net = net;
    this.#networks = {
      cable: { device: 'eth1', port: (host) => `${host}-c`, bridge: 'br1', box: BOX, gateway: GATEWAY, metric: 100 },
      wifi: { device: 'eth0', port: (host) => host, bridge: 'br0', box: net.box, gateway: net.gateway, metric: 600 },
    };
  }

  // These phones are in the Wi-Fi, and have a cable beside them.
  async lay(phones) {
    const ap = this.#net.namespace('ap');
    await run('ip', ['-n', ap, '-batch', '-'], {
      input: 'link add br1 type bridge mcast_snooping 0 stp_state 0 forward_delay 0\nlink set br1 up\n',
    });
    for (const host of ['box', 'gw', ...phones]) {
      const namespace = this.#net.namespace(host);
      await run('ip', ['-n', ap, '-batch', '-'], {
        input: `link add ${host}-c type veth peer name eth1 netns ${namespace}\nlink set ${host}-c master br1\n`,
      });
      await run('ip', ['-n', namespace, 'link', 'set', 'eth1', 'addrgenmode', 'none']);
    }
    for (const [host, address] of [['box', BOX], ['gw', GATEWAY]]) {
      await this.#set('ap', `link set ${host}-c up`);
      await this.#set(host, `addr add ${address}/24 dev eth1\nlink set eth1 up`);
    }
    await this.#net.nameServer(BOX);
    // The other network of the bubble is not outside of it, however little leads there.
    await this.#net.inside('gw', 'nft', [
      'insert', 'rule', 'inet', 'trap', 'arriving', 'ip', 'daddr', '{', this.#net.family.net, ',', `${PREFIX}0/24`, '}', 'drop',
    ]);
    for (const host of phones) {
      // Or the name would lead to one address for ever.
      writeFileSync(`/etc/netns/${this.#net.namespace(host)}/hosts`, '127.0.0.1 localhost\n::1 localhost\n');
      this.#joined.set(host, new Set());
      await this.#set(host, 'route del default');
      await this.#settle(host, 'wifi');
    }
  }

  // Carrier, address, route, name server.
  async join(host, network) {
    const { device, port } = this.#networks[network];
    await this.#set('ap', `link set ${port(host)} up`);
    await this.#set(host, `link set ${device} up\naddr add ${this.#address(host, network)}/24 dev ${device}`);
    await this.#settle(host, network);
  }

  // The carrier goes, and the system takes the address away. No connection hears of its end from the other side.
  async leave(host, network) {
    const { device, port } = this.#networks[network];
    await this.#set('ap', `link set ${port(host)} down`);
    await this.#set(host, `addr flush dev ${device}`);
    this.#joined.get(host).delete(network);
    this.#resolve(host);
  }

  // Everything is dropped on the way, and the phone's system sees no change.
  async silence(host, network) {
    await this.#set('ap', `link set ${this.#networks[network].port(host)} nomaster`);
  }

  // What was silenced speaks again.
  async restore(host, network) {
    const { port, bridge } = this.#networks[network];
    await this.#set('ap', `link set ${port(host)} master ${bridge}`);
  }

  // Whether the phone has a connection with this port of the box over this network.
  async carries(host, network, port) {
    const all = await this.#net.inside('box', 'ss', ['-Htn', 'state', 'established', `( sport = :${port} )`]);
    const ends = [this.#networks[network].box, this.#address(host, network)].map((address) => new RegExp(`\\b${address}\\b`));
    return all.split('\n').some((line) => ends.every((end) => end.test(line)));
  }

  async #settle(host, network) {
    const { device, gateway, metric } = this.#networks[network];
    await this.#set(host, `route add default via ${gateway} dev ${device} metric ${metric}`);
    this.#joined.get(host).add(network);
    this.#resolve(host);
  }

  #address(host, network) {
    const own = this.#net.address(host);
    return network === 'wifi' ? own : `${PREFIX}${own.split('.').pop()}`;
  }

  // The cable before the Wi-Fi, as systems prefer it. In place, since the browser has this very file open as its own.
  #resolve(host) {
    const joined = this.#joined.get(host);
    const servers = Object.keys(this.#networks).filter((network) => joined.has(network));
    const lines = servers.map((network) => `nameserver ${this.#networks[network].box}\n`);
    writeFileSync(`/etc/netns/${this.#net.namespace(host)}/resolv.conf`, `${lines.join('')}options timeout:1 attempts:1\n`);
  }

  #set(host, commands) {
    return run('ip', ['-n', this.#net.namespace(host), '-batch', '-'], { input: `${commands}\n` });
  }
}
