// A bubble's network out of namespaces: one bridge stands for the access point, and the box, the
// phones and a gateway hang on it. Nothing outside these namespaces can be reached.
//
// The gateway is a trap: it is everybody's default route, answers nobody, and counts each packet that
// wanted to leave the bubble. The bubble's DNS server, at the box as on a real access point, knows the
// box alone and notes every other name that it is asked for.

import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { run, Service } from './process.mjs';

export const BOX_NAME = 'box.bulle.internal';
// One bubble has one family of addresses, so that nothing can lean on the other one.
const FAMILIES = {
  4: { prefix: '10.77.0.', length: 24, net: '10.77.0.0/24', ip: 'ip', type: 'ipv4_addr' },
  6: { prefix: 'fd77::', length: 64, net: 'fd77::/64', ip: 'ip6', type: 'ipv6_addr' },
};
const BOX = 1;
const GATEWAY = 254;
const FIRST_PHONE = 11;

// What strict networks do: multicast off the air, no datagram at all, no connection to the port of TURN.
const DROPS = {
  multicast: 'ip daddr 224.0.0.0/4 counter drop\n ip6 nexthdr udp ip6 daddr ff00::/8 counter drop',
  udp: 'meta l4proto udp counter drop',
  'turn-tcp': 'tcp dport 3478 counter drop',
};

export class Net {
  #hosts = new Map();
  #tag;
  #capture;
  #nameServers = [];
  #routers = [];

  // `tag` keeps the namespaces of scenarios that run at the same time apart.
  constructor(tag, logs, { family = 4 } = {}) {
    this.#tag = tag;
    this.logs = logs;
    this.family = FAMILIES[family];
    this.box = `${this.family.prefix}${BOX}`;
    this.gateway = `${this.family.prefix}${GATEWAY}`;
  }

  // `phones` names each phone's namespace; `routeless` phones get no default route.
  async up(phones, { routeless = [] } = {}) {
    const ap = this.namespace('ap');
    await run('ip', ['netns', 'add', ap]);
    await run('ip', ['-n', ap, '-batch', '-'], {
      input: 'link add br0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0\nlink set br0 up\n',
    });
    await this.#host('gw', this.gateway, false);
    await this.#host('box', this.box, true);
    let number = FIRST_PHONE;
    for (const phone of phones) await this.#host(phone, `${this.family.prefix}${number++}`, !routeless.includes(phone));
    await this.#trap();
    await this.nameServer(this.box);
  }

  // A name server at an address of the box that knows the box by that address, and notes every other name.
  async nameServer(address) {
    const server = this.service('box', 'dnsmasq', [
      '--keep-in-foreground', '--no-resolv', '--no-hosts', '--no-daemon', '--pid-file=', '--user=root',
      '--log-queries', '--log-facility=-', `--listen-address=${address}`, '--bind-interfaces',
      `--host-record=${BOX_NAME},${address}`, '--local=/#/',
    ], { log: `${this.logs}/dns.log` });
    this.#nameServers.push(server);
    await server.line(/started, version/);
  }

  namespace(host) {
    return `${this.#tag}-${host}`;
  }

  address(host) {
    return this.#hosts.get(host);
  }

  // Runs a program to its end as if on that host.
  inside(host, command, args = [], options = {}) {
    return run('ip', ['netns', 'exec', this.namespace(host), command, ...args], options);
  }

  // Starts a program that stays, as if on that host.
  service(host, command, args = [], options = {}) {
    return new Service('ip', ['netns', 'exec', this.namespace(host), command, ...args], options);
  }

  // What access points call client isolation: phones reach the box, not each other.
  async isolate(phones) {
    for (const phone of phones) {
      await run('bridge', ['-n', this.namespace('ap'), 'link', 'set', 'dev', phone, 'isolated', 'on']);
    }
  }

  // `what` is one of DROPS.
  async block(what) {
    await this.inside('ap', 'nft', ['-f', '-'], {
      input: `table bridge no-${what} {\n chain forwarded {\n type filter hook forward priority 0\n ${DROPS[what]}\n }\n}\n`,
    });
  }

  async unblock(what) {
    await this.inside('ap', 'nft', ['delete', 'table', 'bridge', `no-${what}`]);
  }

  // A socket of the bridge for a virtual machine's cable: gives the name of the interface.
  async socket(name) {
    const ap = this.namespace('ap');
    await run('ip', ['-n', ap, 'tuntap', 'add', 'dev', name, 'mode', 'tap']);
    await run('ip', ['-n', ap, 'link', 'set', name, 'master', 'br0', 'up']);
    return name;
  }

  // A DHCP server as a router has it, at the first address; what it leased stands in its log. `more` goes to dnsmasq.
  async leases(first, last, more = []) {
    const router = this.service('box', 'dnsmasq', [
      '--keep-in-foreground', '--no-daemon', '--port=0', '--pid-file=', '--user=root', '--log-facility=-', '--log-dhcp',
      '--interface=eth0', `--dhcp-leasefile=/tmp/${this.#tag}-leases`, '--dhcp-authoritative',
      `--dhcp-range=${this.family.prefix}${first},${this.family.prefix}${last},1h`,
      `--dhcp-option=option:router,${this.gateway}`, `--dhcp-option=option:dns-server,${this.box}`, ...more,
    ], { log: `${this.logs}/dhcp.log` });
    this.#routers.push(router);
    await router.line(/started, version/);
    return router;
  }

  // A name that this host knows besides the box's.
  name(host, address, name) {
    appendFileSync(`/etc/netns/${this.namespace(host)}/hosts`, `${address} ${name}\n`);
  }

  // On this host the box's name leads to another host from now on.
  lead(host, other) {
    const lines = `127.0.0.1 localhost\n::1 localhost\n${this.address(other)} ${BOX_NAME}\n`;
    writeFileSync(`/etc/netns/${this.namespace(host)}/hosts`, lines);
  }

  // How many packets a block has stopped: shows that the block was in the way of something.
  async blocked(what) {
    const rules = JSON.parse(await this.inside('ap', 'nft', ['-j', 'list', 'table', 'bridge', `no-${what}`]));
    const counters = rules.nftables.flatMap(({ rule }) => rule?.expr ?? []).filter((part) => part.counter);
    return counters.reduce((sum, { counter }) => sum + counter.packets, 0);
  }

  // The cable is out at the access point, so the host itself sees its carrier go.
  unplug(host) {
    return run('ip', ['-n', this.namespace('ap'), 'link', 'set', host, 'down']);
  }

  plug(host) {
    return run('ip', ['-n', this.namespace('ap'), 'link', 'set', host, 'up']);
  }

  // Packets that wanted to leave the bubble and where to, and names asked for that are not the box's.
  async escapes() {
    const gateway = (...what) => this.inside('gw', 'nft', ['-j', 'list', ...what]);
    const counter = JSON.parse(await gateway('counter', 'inet', 'trap', 'foreign'));
    const set = JSON.parse(await gateway('set', 'inet', 'trap', 'seen'));
    const elements = set.nftables.flatMap((item) => item.set?.elem ?? []);
    return {
      packets: counter.nftables.find((item) => item.counter).counter.packets,
      to: elements.map((element) => (element.elem?.val ?? element).concat.join(' ')),
      seen: this.#capture.lines.slice(),
      names: this.#nameServers.flatMap(({ lines, errors }) => [...lines, ...errors])
        .map((line) => /query\[\w+\] (\S+) from/.exec(line)?.[1])
        .filter((name) => name && name !== BOX_NAME && !name.endsWith(`.${BOX_NAME}`)),
    };
  }

  async down() {
    await Promise.all([this.#capture, ...this.#nameServers, ...this.#routers].map((service) => service?.end()));
    for (const host of ['ap', ...this.#hosts.keys()]) {
      const namespace = this.namespace(host);
      const left = await run('ip', ['netns', 'pids', namespace]).catch(() => '');
      for (const pid of left.split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It ended by itself meanwhile.
        }
      }
      await run('ip', ['netns', 'del', namespace]).catch(() => {});
      rmSync(`/etc/netns/${namespace}`, { recursive: true, force: true });
    }
  }

  async #host(host, address, route) {
    const namespace = this.namespace(host);
    this.#hosts.set(host, address);
    // `ip netns exec` puts these two in the place of the machine's own.
    mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
    writeFileSync(`/etc/netns/${namespace}/hosts`, `127.0.0.1 localhost\n::1 localhost\n${this.box} ${BOX_NAME}\n`);
    writeFileSync(`/etc/netns/${namespace}/resolv.conf`, `nameserver ${this.box}\noptions timeout:1 attempts:1\n`);
    await run('ip', ['netns', 'add', namespace]);
    await run('ip', ['-n', this.namespace('ap'), '-batch', '-'], {
      input: `link add ${host} type veth peer name eth0 netns ${namespace}\nlink set ${host} master br0 up\n`,
    });
    // An address that appears by itself a second later makes Chromium give up what it is loading: where
    // there is no IPv6 there is none at all, and where there is, addresses are there at once.
    if (this.family === FAMILIES[4]) await run('ip', ['-n', namespace, 'link', 'set', 'eth0', 'addrgenmode', 'none']);
    else await this.inside(host, 'sysctl', ['-qw', 'net.ipv6.conf.eth0.accept_dad=0']);
    const own = ['link set lo up', `addr add ${address}/${this.family.length} dev eth0 nodad`, 'link set eth0 up'];
    if (route) own.push(`route add default via ${this.gateway}`);
    await run('ip', ['-n', namespace, '-batch', '-'], { input: `${own.join('\n')}\n` });
  }

  async #trap() {
    const { ip, type, net } = this.family;
    await this.inside('gw', 'nft', ['-f', '-'], {
      input: `table inet trap {
        set seen { type ${type} . inet_proto . inet_service; flags dynamic; size 4096; }
        counter foreign { }
        chain arriving {
          type filter hook prerouting priority -300
          fib daddr type { local, broadcast, multicast } accept
          counter name foreign
          meta l4proto { tcp, udp } add @seen { ${ip} daddr . meta l4proto . th dport }
          drop
        }
      }\n`,
    });
    const filter = `${ip} and not dst net ${net} and not multicast and not broadcast and not dst net fe80::/10`;
    this.#capture = this.service('gw', 'tcpdump', ['-l', '-n', '-p', '-i', 'eth0', filter], {
      log: `${this.logs}/left-the-bubble.log`,
    });
    await this.#capture.line(/listening on eth0/);
  }
}
