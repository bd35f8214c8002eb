// Every scenario by its name, in the order in which all of them run.

import * as paths from './paths.mjs';
import * as faults from './faults.mjs';
import * as moves from './moves.mjs';
import * as refused from './refused.mjs';
import * as peer from './peer.mjs';
import * as crowd from './crowd.mjs';
import * as pages from './pages.mjs';
import * as check from './check.mjs';
import * as broadcast from './broadcast.mjs';
import * as claim from './claim.mjs';
import * as safety from './safety.mjs';
import * as sealed from './sealed.mjs';
import * as native from './native.mjs';
import * as blind from './blind.mjs';
import * as names from './names.mjs';
import * as box from './box.mjs';
import * as boxBoards from './box-boards.mjs';
import * as boxPower from './box-power.mjs';
import * as boxRadio from './box-radio.mjs';

export const scenarios = {
  'direct-without-mdns': paths.directWithoutMdns,
  'isolated-through-turn': paths.isolatedThroughTurn,
  'relay-tcp': paths.relayTcp,
  'relay-tls': paths.relayTls,
  'no-udp-through-mailbox': paths.noUdpThroughMailbox,
  'no-webrtc': paths.noWebrtcThroughMailbox,
  'no-websocket': refused.noWebsocket,
  'webrtc-session': peer.webrtcSession,
  'chromium-firefox': paths.chromiumFirefox,
  'ipv6-alone': paths.ipv6Alone,
  'box-unplugged': faults.boxUnplugged,
  'box-restarted': faults.boxRestarted,
  'link-lost-8s': faults.linkLost8s,
  'handover-without-loss': faults.handoverWithoutLoss,
  'moves-to-cable': moves.movesToCable,
  'moves-to-cable-firefox': moves.movesToCableFirefox,
  'box-restarted-thrice': faults.boxRestartedThrice,
  broadcast: broadcast.broadcast,
  'safety-number': safety.safety,
  'ten-phones': crowd.tenPhones,
  pages: pages.pages,
  'test-phone': check.testPhone,
  claim: claim.claim,
  'no-route-out': sealed.noRouteOut,
  'untrusted-authority': sealed.untrustedAuthority,
  blind: blind.blind,
  'short-of-memory': blind.shortOfMemory,
  'own-names': names.ownNames,
  'own-names-ipv6': names.ownNamesIpv6,
  'two-boxes-one-lan': names.twoBoxes,
  'turn-interop': native.turnInterop,
  'box-controller': native.controllerInterop,
  'phones-200': native.phones200,
  'crowd-10000': native.crowd10000,
  'killed-thrice': native.killedThrice,
  'box-wifi-join': box.wifiJoin,
  'box-lan': box.lan,
  'box-radio': boxRadio.radio,
  'box-cable': boxRadio.cable,
  'box-power-cut': boxPower.powerCut,
  'box-button': boxPower.button,
  'box-bad-config': box.badConfig,
  'box-arm64': boxBoards.arm64,
  'box-fallback': boxBoards.fallback,
  'box-reproducible': box.reproducible,
  'box-drivers': box.drivers,
};
