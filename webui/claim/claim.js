// The page on which somebody becomes the administrator of the box: sends the code of the join card, once, and says what
// came of it. It keeps nothing, and forgets the code as soon as that has been taken.

const LIMIT_MS = 15_000;

// Every word of this page that a person reads, besides claim.html.
const SENDING = 'One moment…';
const EMPTY = 'Enter the claim code of the join card.';
const SILENT = 'The box does not answer. Check that you are still on its Wi-Fi or network, and try again.';
const FAILED = 'The box could not note the claim. Try again; if it stays so, switch the box off and on.';
const seconds = (count) => (count === 1 ? 'a second' : `${count} seconds`);
const OUTCOMES = {
  400: () => 'This is not a claim code. It is made of letters and digits, as on the join card.',
  403: () => 'This is not the claim code of this box. Look at the join card again: the code is made anew when a box is reset.',
  404: () => 'There is nothing to claim here.',
  405: () => 'There is nothing to claim here: this box has an administrator already, or needs none.',
  409: () => 'Somebody has claimed this box already. If that was not you, reset it, and claim it before you let others use it.',
  429: (wait) => `Too many codes were tried. Try again in ${seconds(wait)}.`,
};

const at = (id) => document.getElementById(id);
const now = () => new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' }).format(new Date());

function complain(text) {
  at('code-error').textContent = text;
  at('code').setAttribute('aria-invalid', 'true');
  at('code').focus();
}

// What went wrong, or nothing.
async function claim(code, clock) {
  const give = { code, ...(clock ? { time: Math.floor(Date.now() / 1000) } : {}) };
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), LIMIT_MS);
  try {
    const answer = await fetch('/claim', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(give), signal: limit.signal,
    });
    if (answer.status === 204) return null;
    const wait = Number(answer.headers.get('retry-after')) || 1;
    return OUTCOMES[answer.status]?.(wait) ?? FAILED;
  } catch {
    return SILENT;
  } finally {
    clearTimeout(timer);
  }
}

async function submit(event) {
  event.preventDefault();
  const send = at('send');
  if (send.getAttribute('aria-disabled') === 'true') return;
  const code = at('code').value.trim();
  if (!code) {
    complain(EMPTY);
    return;
  }
  const label = send.textContent;
  send.setAttribute('aria-disabled', 'true');
  send.textContent = SENDING;
  at('code-error').textContent = '';
  at('code').removeAttribute('aria-invalid');
  const trouble = await claim(code, at('clock').checked);
  send.setAttribute('aria-disabled', 'false');
  send.textContent = label;
  if (trouble) {
    complain(trouble);
    return;
  }
  at('code').value = '';
  at('claim').hidden = true;
  at('done').hidden = false;
  at('done').focus();
}

const tell = () => {
  at('now').textContent = now();
};

tell();
setInterval(tell, 5_000);
at('claim').addEventListener('submit', submit);
at('claim').hidden = false;
