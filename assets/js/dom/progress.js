// How far a question has come, with Stop: one line that stays until it is taken off the page.

import { button, make } from './make.js';

const LOOK_MS = 400;

/**
 * @param {number} elapsed seconds
 * @param {number} share
 */
const timeLeft = (elapsed, share) =>
  share > 0.02 && share < 1 && elapsed > 1 ? `, about ${Math.max(1, Math.round((elapsed * (1 - share)) / share))} s left` : '';

/**
 * Asks the server function `progress` about the job of this key.
 * @param {import('./part.js').Server} server
 * @param {string} key
 * @param {string} text
 * @param {() => void} stop ends the job
 * @param {string} [className]
 */
export const progressLine = (server, key, text, stop, className = 'fv-progress') => {
  const row = make('div', className),
    bar = make('progress'),
    words = make('span', 'fv-quiet', text);
  let stopping = false;
  bar.max = 1;
  bar.setAttribute('aria-label', text);
  row.append(
    bar,
    words,
    button('fv-mini', 'Stop', 'Stop this; what is shown stays', () => {
      stopping = true;
      words.textContent = 'Stopping';
      stop();
    }),
  );
  const look = async () => {
    if (!row.isConnected) return;
    try {
      const { share, elapsed_s: elapsed, text: doing } = await server.progress(key);
      if (elapsed !== undefined && !stopping) {
        words.textContent = `${doing || text}, ${Math.round(elapsed)} s${timeLeft(elapsed, share)}`;
        if (share === null) bar.removeAttribute('value');
        else bar.value = share;
      }
    } catch {
      /* the next look may succeed; the question itself tells what went wrong */
    }
    setTimeout(look, LOOK_MS);
  };
  setTimeout(look, 0);
  return row;
};
