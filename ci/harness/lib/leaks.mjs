// Finds in lines of text what must not be there: shapes of addresses and identifiers, and words
// that a scenario planted.

const SHAPES = {
  'an IPv4 address': /(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])/,
  'an IPv6 address': /(?<![0-9a-z:])(?:[0-9a-f]{1,4}:){2,7}(?::[0-9a-f]{1,4}|[0-9a-f]{1,4})(?![0-9a-z:])/i,
  'a MAC address': /(?<![0-9a-f:])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![0-9a-f:])/i,
  'an identifier of 32 bytes': /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])|(?<![\w-])[\w-]{43}=?(?![\w-])/i,
};
// The hour of a log line looks like the start of an IPv6 address.
const TIME = /\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?|(?<!\S)\d\d:\d\d:\d\d(?:\.\d+)?(?!\S)/g;
// Colours of a terminal.
const COLOUR = /\u001b\[[0-9;]*m/g;

export function leaks(lines, { words = [], shapes = true } = {}) {
  const found = [];
  lines.forEach((raw, index) => {
    const line = raw.replace(COLOUR, '').replace(TIME, '');
    for (const [what, pattern] of shapes ? Object.entries(SHAPES) : []) {
      if (pattern.test(line)) found.push(`line ${index + 1}: ${what}: ${line}`);
    }
    for (const word of words) {
      if (line.includes(word)) found.push(`line ${index + 1}: "${word}" of a user: ${line}`);
    }
  });
  return found;
}
