// Every word of this page that a person reads, besides check.html. Each outcome says what was found, and, where there
// is something to do about it, what.

export const AGAIN = 'Test again';
export const COPY = 'Copy the result';
export const COPIED = 'Copied. It holds no address, no name and no secret.';
export const COPY_FAILED = 'Select the text below and copy it by hand. It holds no address, no name and no secret.';
export const TRY_MICROPHONE = 'Test the microphone';

export const running = (done, all) => `Testing: ${done} of ${all} done…`;
export const finished = ({ good, note, bad }) => {
  if (!note && !bad) return `Done. Everything works (${good} of ${good}).`;
  const worth = note === 1 ? '1 is worth a look' : `${note} are worth a look`;
  const not = bad === 1 ? '1 does not work' : `${bad} do not work`;
  return `Done. ${good} work${good === 1 ? 's' : ''}, ${[bad && not, note && worth].filter(Boolean).join(', ')}.`;
};

// The state of a row, for who cannot see its colour.
export const STATES = {
  waiting: 'not tested yet',
  running: 'testing',
  good: 'works',
  note: 'worth a look',
  bad: 'does not work',
  skipped: 'not tested',
  idle: 'when you want',
};

export const TITLES = {
  secure: 'Secure connection',
  worker: 'The program',
  websocket: 'Lasting connection to the box',
  mailbox: 'Messages through the box',
  clock: 'Clock',
  stun: 'The box sees this phone (STUN)',
  direct: 'Direct connections',
  udp: 'Relay over UDP',
  tcp: 'Relay over TCP',
  tls: 'Relay over TLS',
  vpn: 'VPN or filter',
  microphone: 'Microphone',
};

const ms = (time) => `${Math.max(1, Math.round(time))} ms`;
// Each unit from one and a half of it on, so that none stands alone.
const span = (seconds) => {
  const [count, unit] = seconds < 5_400 ? [seconds / 60, 'minutes'] : seconds < 129_600 ? [seconds / 3600, 'hours'] : [seconds / 86_400, 'days'];
  return `${Math.round(count)} ${unit}`;
};

const RELAY = 'Nothing to do: the other ways are used by themselves.';
const NO_WEBRTC = 'Not tested, since this browser has no WebRTC.';
const NO_SESSION = 'Not tested, since the box did not let this page in.';
const NO_TURN = 'Not tested: this box serves no relay.';

// By row and outcome: what was found, and what to do.
export const OUTCOMES = {
  secure: {
    good: () => ['The page came encrypted, and the browser lets it use what it needs.'],
    bad: () => [
      'The browser does not take this connection for secure.',
      'Open the link of your invitation, which begins with https://, and let your phone trust the certificate of the box: its page without encryption explains how.',
    ],
  },
  worker: {
    good: () => ['It was loaded and has started.'],
    wasm: () => [
      'WebAssembly is missing or switched off, and the encryption needs it.',
      'In Lockdown Mode or with strict security settings, make an exception for this address; otherwise update the browser or use another one.',
    ],
    bad: () => [
      'It could not be loaded or did not start.',
      'Check that you are still on the box’s Wi-Fi or network, and test again. If it stays so, update the browser or use another one.',
    ],
  },
  websocket: {
    good: () => ['It stands (WebSocket).'],
    note: () => [
      'Something refuses it (WebSocket). Messages go by plain requests instead, a little slower.',
      'Nothing has to be done. On an iPhone, switch on full trust for the box’s certificate (Settings, General, About, Certificate Trust Settings); behind a proxy, ask who runs it to let WebSockets pass.',
    ],
    bad: () => [
      'The box lets nobody in by this way, nor by plain requests.',
      'Check that you are still on the box’s Wi-Fi or network. If others have the same trouble, tell whoever runs the box.',
    ],
  },
  mailbox: {
    websocket: (time) => [`A test message went to the box and came back in ${ms(time)}, by WebSocket.`],
    requests: (time) => [`A test message went to the box and came back in ${ms(time)}, by plain requests.`],
    oneway: () => ['The box took a test message. This browser is too old to try the way back.'],
    full: () => ['The box takes no message for the moment.', 'Test again in a minute. If it stays so, tell whoever runs the box: it may be full.'],
    bad: () => ['A message did not come back from the box.', 'Test again. If it stays so, tell whoever runs the box.'],
    skipped: () => [NO_SESSION],
  },
  clock: {
    good: () => ['It agrees with that of the box.'],
    ahead: (seconds) => [`It is ${span(seconds)} ahead of that of the box.`, 'If your phone is wrong, switch on automatic date and time in its settings. If it is right, tell whoever runs the box.'],
    behind: (seconds) => [`It is ${span(seconds)} behind that of the box.`, 'If your phone is wrong, switch on automatic date and time in its settings. If it is right, tell whoever runs the box.'],
    skipped: () => ['The box did not say what time it is.'],
  },
  stun: {
    good: () => ['It answers over UDP and says where it sees this phone, so that others find it.'],
    bad: () => [
      'It does not answer over UDP.',
      'Switch off VPN, “private relay” and firewall apps, and test again. If it stays so, this network blocks UDP: messages still go, through the relay over TCP.',
    ],
    skipped: () => [NO_WEBRTC],
    none: () => [NO_TURN],
    closed: () => [NO_SESSION],
  },
  direct: {
    good: (time) => [`This browser can (${ms(time)} to itself). Whether two phones reach each other is up to the network.`],
    bad: () => [
      'This browser cannot reach even itself.',
      'Switch off VPN, “private relay”, firewall apps and extensions that forbid WebRTC, and test again. Until then everything goes through the box.',
    ],
    skipped: () => [NO_WEBRTC, 'Messages go through the box. For direct ways, use another browser, or switch WebRTC on.'],
  },
  udp: {
    good: (time) => [`It works (${ms(time)} there and back, twice through the box).`],
    bad: () => ['It does not answer.', 'Switch off VPN, “private relay” and firewall apps. If this network blocks UDP, the relay over TCP is used.'],
    skipped: () => [NO_WEBRTC],
    none: () => [NO_TURN],
    closed: () => [NO_SESSION],
  },
  tcp: {
    good: (time) => [`It works (${ms(time)} there and back).`],
    bad: () => ['It does not answer.', RELAY],
    skipped: () => [NO_WEBRTC],
    none: () => [NO_TURN],
    closed: () => [NO_SESSION],
  },
  tls: {
    good: (time) => [`It works (${ms(time)} there and back).`],
    note: () => [
      'The browser does not take it, though it shows this page.',
      'Most likely the certificate of the box was clicked away and is not trusted: install it, as the box’s page without encryption explains. Until then the relay over TCP is used.',
    ],
    bad: () => ['It does not answer.', RELAY],
    skipped: () => [NO_WEBRTC],
    none: () => [NO_TURN],
    closed: () => [NO_SESSION],
  },
  vpn: {
    good: () => ['There is no sign of one.'],
    udp: () => [
      'UDP does not get through, though this page does: probably a VPN, a firewall app, or a strict network.',
      'Switch off VPN and “private relay” while you use Bulle. If it is the network, nothing has to be done: the relay over TCP is used, a little slower.',
    ],
    hidden: () => [
      'The browser has no address to offer to others: probably a VPN, or a setting that forbids WebRTC.',
      'Switch off VPN and extensions that forbid WebRTC. Until then everything goes through the box.',
    ],
    skipped: () => ['Cannot be told here.'],
  },
  microphone: {
    idle: () => ['Calls will need it. The browser asks you first; nothing is recorded or sent.'],
    running: () => ['Say something…'],
    good: () => ['It hears you.'],
    quiet: () => ['It may be used, but nothing is heard.', 'Speak while the test runs; look whether the microphone is muted or covered.'],
    refused: () => ['The browser may not use it.', 'Allow the microphone for this address in the browser’s settings, and in those of the phone.'],
    missing: () => ['There is none.', 'Connect a microphone or a headset, and test again.'],
    bad: () => ['It could not be opened.', 'Close other programs that use the microphone, and test again.'],
  },
};
