// The box itself: its image in a virtual machine, started by the same program as `ci/boot`.
//
// The root that has QEMU lies on /image and shares this sandbox's network, so that a virtual cable
// can end at a namespace of the scenario.

import { connect } from 'node:net';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { run, Service } from './process.mjs';
import { expect, until } from './scenario.mjs';

const ROOT = '/image';
const TOOLS = ['phones', 'bulle'];

export class Machine {
  #service;
  #monitor;

  // `board` is a folder of board/; everything is kept under the scenario's own out folder.
  constructor(stage, board, name = board) {
    this.stage = stage;
    this.board = board;
    // Machines of one scenario may run at the same time.
    this.logs = `e2e-${stage.name}-${name}`;
    this.out = `${stage.out}/${name}`;
    expect(existsSync(`${ROOT}/usr/bin/qemu-system-x86_64`), 'the root `image` is missing: `ci/in image true` makes it');
    mkdirSync(this.out, { recursive: true });
  }

  // A copy of the board's image, which keeps what is written to it.
  async disk(name = 'disk.img') {
    const image = `/ws/out/image/${this.board}/latest.img`;
    expect(existsSync(image), `${image} is missing: \`ci/image ${this.board} --fast\` makes it`);
    const disk = `${this.out}/${name}`;
    await run('cp', ['--sparse=always', '-L', image, disk], { limit: 120_000 });
    return disk;
  }

  // The partitions of a disk: where each begins and how long it is, in bytes; the first has number 1.
  async partitions(disk) {
    const { partitiontable: table } = JSON.parse(await this.tool('sfdisk', '-J', disk));
    const sector = table.sectorsize ?? 512;
    return table.partitions.map(({ start, size }) => ({ start: start * sector, size: size * sector }));
  }

  // Puts a text on the FAT partition, as whoever has the card in a computer would.
  async write(disk, name, text) {
    const file = `${this.out}/${name}`;
    writeFileSync(file, text);
    await this.tool('mcopy', '-o', '-i', `${disk}@@${(await this.partitions(disk))[0].start}`, file, `::${name}`);
  }

  // What a file on the FAT partition says.
  async read(disk, name) {
    return this.tool('mtype', '-i', `${disk}@@${(await this.partitions(disk))[0].start}`, `::${name}`);
  }

  // A tool of the root that makes images.
  tool(...words) {
    return run('chroot', [ROOT, ...words], { limit: 120_000 });
  }

  // Switches it on. `inside` names the script of box/guest/ that runs in the guest, `files` are more for it to find
  // beside itself: names and texts.
  // `cable` names an interface for the other end of its Ethernet cable, in the namespace `host`, or several for a
  // machine with as many sockets, which the monitor knows as nic0, nic1 and so on.
  start({ inside, before, files, cable, macs = [], host = 'ap', options = [], seconds = 850 }) {
    const words = [this.board, '--name', this.logs, `--seconds=${seconds}`, ...options];
    if (inside) words.push('--test', this.#test(inside, before, files));
    const program = [
      ROOT, '/usr/bin/env', '-C', '/ws', 'BULLE_IN_ROOT=image', 'PYTHONDONTWRITEBYTECODE=1',
      'python3', '-m', 'image.boot', ...words,
    ];
    this.#monitor = `${this.out}/monitor`;
    program.push('--qemu=-qmp', `--qemu=unix:${this.#monitor},server=on,wait=off`);
    const log = { log: `${this.out}/boot.log` };
    if (cable) {
      const net = ['--no-cable', ...[cable].flat().flatMap((end, index) => [
        '-netdev', `tap,id=cable${index},ifname=${end},script=no,downscript=no`,
        '-device', `virtio-net-pci,id=nic${index},netdev=cable${index}${macs[index] ? `,mac=${macs[index]}` : ''}`,
      ]).map((word) => `--qemu=${word}`)];
      this.#service = this.stage.net.service(host, 'chroot', [...program, ...net], log);
    } else {
      this.#service = new Service('chroot', program, log);
    }
    return this.#service;
  }

  // The folder that the guest sees as /test.
  #test(inside, before, files = {}) {
    const folder = `${this.out}/test`;
    mkdirSync(`${folder}/bin`, { recursive: true });
    cpSync('/ws/ci/harness/box/guest', folder, { recursive: true });
    cpSync(`/ws/ci/harness/box/guest/${inside}.sh`, `${folder}/run.sh`);
    if (before) cpSync(`/ws/ci/harness/box/guest/${before}.sh`, `${folder}/before.sh`);
    for (const [name, text] of Object.entries(files)) writeFileSync(`${folder}/${name}`, text);
    for (const tool of TOOLS) cpSync(`/ws/out/bin/amd64/${tool}`, `${folder}/bin/${tool}`);
    return folder;
  }

  // Waits for the guest's own account and holds it: each `ok` is a step, one `not ok` fails, and an
  // account without its last line is none.
  async account(limit) {
    const seen = { ok: 0, values: {}, listens: [], failed: [] };
    const told = new Set();
    const read = () => {
      for (const [index, line] of this.#service.lines.entries()) {
        if (told.has(index)) continue;
        told.add(index);
        const [, not, what] = /^(not )?ok (.*)/.exec(line) ?? [];
        const [, key, number] = /^value (\S+) (\S+)/.exec(line) ?? [];
        const [, port] = /^listens (.*)/.exec(line) ?? [];
        if (key) seen.values[key] = Number(number);
        if (port) seen.listens.push(port);
        if (!what) continue;
        this.stage.tell(`        ${not ? 'NOT OK ' : ''}${what}`);
        if (not) seen.failed.push(what);
        else seen.ok += 1;
      }
    };
    const timer = setInterval(read, 500);
    try {
      await this.#service.line(/^end$/, limit);
    } finally {
      clearInterval(timer);
      read();
    }
    for (const [key, number] of Object.entries(seen.values)) this.stage.note(key, number);
    this.stage.note('checks', seen.ok);
    expect(seen.failed.length === 0, `in the guest: ${seen.failed.join('; ')}`);
    expect(seen.ok > 0, 'the guest told of no check at all');
    return seen;
  }

  // The first line of the guest's account, told already or yet to come, that matches.
  line(pattern, limit) {
    return this.#service.line(pattern, limit);
  }

  // What the guest tells on lines with this word before them, after it has told all that there is now.
  async told(word, limit) {
    const times = () => this.#service.lines.filter((line) => line === 'told').length;
    // The one that is under way may have been begun before.
    const wanted = times() + 2;
    await until('the guest\'s account', () => times() >= wanted, limit);
    return this.#service.lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  }

  // Tells the monitor of the machine (QMP) these commands, such as to pull a cable out.
  async monitor(...commands) {
    const socket = await new Promise((resolve, reject) => {
      const until = Date.now() + 60_000;
      const attempt = () => {
        const made = connect(this.#monitor, () => resolve(made));
        made.on('error', (error) => (Date.now() < until ? setTimeout(attempt, 50) : reject(error)));
      };
      attempt();
    });
    commands.unshift({ execute: 'qmp_capabilities' });
    let text = '';
    const answers = new Promise((resolve, reject) => {
      socket.on('data', (chunk) => {
        text += chunk;
        expect(text.length < 1e5, 'the monitor talks too much');
        const lines = text.split('\n').filter((line) => line.includes('"return"') || line.includes('"error"'));
        const wrong = lines.find((line) => line.includes('"error"'));
        if (wrong) reject(new Error(`the monitor: ${wrong}`));
        else if (lines.length >= commands.length) resolve();
      });
      socket.on('close', () => reject(new Error('the monitor is gone')));
    });
    for (const command of commands) socket.write(`${JSON.stringify(command)}\n`);
    await answers;
    socket.destroy();
  }

  // Waits until the machine has gone off by itself.
  async ended(limit) {
    await this.#service.line(/^off$/, limit);
    await until('the end of the machine', () => this.#service.how, limit);
  }

  async off() {
    await this.#service?.end('SIGTERM', 10_000);
  }

  // What the guest's kernel and first programs said.
  console() {
    const file = `/ws/out/boot/${this.logs}/console.log`;
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }
}
