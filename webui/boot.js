// The first script of the page, and the only one written by hand.
//
// It says in plain words when this browser cannot run the client; otherwise it starts the worker and the page's
// program, which takes over from the first screen. It handles nothing secret and reads no address.
//
// Trusted Types: the one policy, `bulle`, lets through nothing but the worker's own name.

const WORKER = '{{worker.js}}';

const trusted = (() => {
  const rules = {
    createScriptURL(url) {
      if (url !== WORKER) throw new TypeError('not a script of this page');
      return url;
    },
  };
  return globalThis.trustedTypes ? globalThis.trustedTypes.createPolicy('bulle', rules) : rules;
})();

const starting = document.getElementById('starting');

function stop(problem) {
  for (const element of document.querySelectorAll('#app .starting, #app .late')) element.remove();
  const text = document.querySelector(`#app [data-problem="${problem}"]`);
  if (!text) return; // The program runs already and shows its own troubles.
  for (const other of document.querySelectorAll('#app [data-problem]')) other.hidden = true;
  text.hidden = false;
  text.setAttribute('role', 'alert');
}

// A page in the background paints nothing, and must start all the same.
const painted = new Promise((resolve) => {
  setTimeout(resolve, 100);
  requestAnimationFrame(() => setTimeout(resolve));
});

function missing() {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle) return 'insecure';
  if (typeof WebAssembly !== 'object' || !WebAssembly.instantiate) return 'wasm';
  if (typeof Worker !== 'function') return 'old';
  return null;
}

async function boot() {
  const problem = missing();
  if (problem) return stop(problem);
  starting.hidden = false;
  await painted;
  performance.mark('bulle-first-screen');

  const worker = new Worker(trusted.createScriptURL(WORKER), { type: 'module', name: 'bulle' });
  worker.onerror = () => stop('fetch');
  globalThis.bulleWorker = worker; // Taken, and removed from here, by the page's program.
  try {
    await import('{{page.js}}');
  } catch (error) {
    stop(error instanceof WebAssembly.CompileError || error instanceof WebAssembly.LinkError ? 'old' : 'fetch');
  }
}

boot();
