// WebRTC of this browser, tried with itself: two connections in one page that reach each other directly, or through
// one of the box's relays. Addresses are looked at here and never given out.

import { Failure, within } from '{{check-session.js}}';

// A browser gives up a relay that does not answer after about ten seconds.
const GATHER_LIMIT = 12_000;
const OPEN_LIMIT = 15_000;
const ECHO_LIMIT = 5_000;

export const available = () => {
  try {
    new RTCPeerConnection().close();
    return true;
  } catch {
    return false;
  }
};

// The box's servers, by what each of them shows. The page's own host, as in the client.
export function servers({ turnPort, login }) {
  const at = `${location.hostname}:${turnPort}`;
  const relay = (urls) => ({ urls, ...login });
  return {
    stun: { urls: `stun:${at}` },
    udp: relay(`turn:${at}?transport=udp`),
    tcp: relay(`turn:${at}?transport=tcp`),
    tls: relay(`turns:${location.hostname}:${location.port || 443}?transport=tcp`),
  };
}

// What a connection finds out about itself by STUN: whether it has an address of its own, whether it hides it, and
// whether the box has answered.
export async function look(stun) {
  const connection = new RTCPeerConnection({ iceServers: [stun] });
  const found = { own: 0, seen: 0 };
  try {
    connection.createDataChannel('test');
    const all = new Promise((resolve) => {
      connection.onicecandidate = ({ candidate }) => {
        if (!candidate) return resolve();
        const kind = / typ (\w+)/.exec(candidate.candidate)?.[1];
        if (kind === 'host') found.own += 1;
        if (kind === 'srflx') {
          found.seen += 1;
          resolve();
        }
        return undefined;
      };
    });
    await connection.setLocalDescription(await connection.createOffer());
    await within(GATHER_LIMIT, 'silent', all).catch(() => {});
  } finally {
    connection.close();
  }
  return found;
}

// Connects the page with itself and sends one message there and back; the milliseconds that this took.
export async function connect(configuration) {
  const [one, two] = [new RTCPeerConnection(configuration), new RTCPeerConnection(configuration)];
  try {
    const nothing = new Promise((_, reject) => {
      hand(one, two, reject);
      hand(two, one, reject);
    });
    const channel = one.createDataChannel('test');
    two.ondatachannel = ({ channel: other }) => {
      other.onmessage = ({ data }) => other.send(data);
    };
    const open = new Promise((resolve, reject) => {
      channel.onopen = resolve;
      channel.onclose = () => reject(new Failure('unconnected'));
      one.onconnectionstatechange = () => one.connectionState === 'failed' && reject(new Failure('unconnected'));
    });
    // Either may come before it is waited for.
    for (const early of [nothing, open]) early.catch(() => {});
    await one.setLocalDescription(await one.createOffer());
    await two.setRemoteDescription(one.localDescription);
    await two.setLocalDescription(await two.createAnswer());
    await one.setRemoteDescription(two.localDescription);
    await within(OPEN_LIMIT, 'unconnected', Promise.race([open, nothing]));
    const began = performance.now();
    const echo = new Promise((resolve) => {
      channel.onmessage = resolve;
    });
    channel.send('test');
    await within(ECHO_LIMIT, 'unconnected', echo);
    return performance.now() - began;
  } finally {
    one.close();
    two.close();
  }
}

// Gives what one finds to the other; `none` hears when it found nothing at all, which ends the wait early.
function hand(from, to, none) {
  let found = 0;
  const early = [];
  const give = (candidate) => to.addIceCandidate(candidate).catch(() => {});
  from.onicecandidate = ({ candidate }) => {
    if (!candidate) {
      if (!found) none(new Failure('unanswered'));
      return;
    }
    if (!candidate.candidate) return;
    found += 1;
    // A candidate waits for the description that it belongs to.
    if (to.remoteDescription) give(candidate);
    else early.push(candidate);
  };
  to.addEventListener('signalingstatechange', () => {
    if (to.remoteDescription) early.splice(0).forEach(give);
  });
}
