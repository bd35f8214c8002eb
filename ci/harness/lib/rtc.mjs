// Looks into a page's WebRTC from outside: which candidate pair carries the data.
//
// These functions are sent into the page as text, so each uses nothing but its argument.

// Before the page's own scripts: remembers each connection that they make.
export function recordConnections() {
  const Real = window.RTCPeerConnection;
  if (!Real || window.bulleConnections) return;
  const made = [];
  Object.defineProperty(window, 'bulleConnections', { value: made });
  window.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      made.push(this);
    }
  };
}

// The selected pair of each connected connection, as `{ local, remote }` with type and protocol;
// of a relay of its own, also by which protocol it is reached. `relays` are the protocols by which relays let it in.
export async function selectedPairs() {
  const pairs = [];
  for (const connection of window.bulleConnections ?? []) {
    if (connection.connectionState !== 'connected') continue;
    const stats = new Map();
    (await connection.getStats()).forEach((entry) => stats.set(entry.id, entry));
    const all = [...stats.values()];
    const transport = all.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
    const pair = transport
      ? stats.get(transport.selectedCandidatePairId)
      : all.find((entry) => entry.type === 'candidate-pair' && entry.selected);
    if (!pair) continue;
    const end = (id) => {
      const { candidateType, protocol, relayProtocol } = stats.get(id) ?? {};
      return { type: candidateType, protocol, relayProtocol };
    };
    const relays = all.filter((entry) => entry.type === 'local-candidate' && entry.candidateType === 'relay').map((entry) => entry.relayProtocol);
    pairs.push({ local: end(pair.localCandidateId), remote: end(pair.remoteCandidateId), relays });
  }
  return pairs;
}
