// How far a question has come, with Stop: one line that stays until it is taken off the page.
//   progressLine(key, text, stop, className)   -> node; `stop` ends it and is what the button does. The server function `progress` is asked
const timeLeft = (elapsed, share) =>
  share > 0.02 && share < 1 && elapsed > 1 ? `, about ${Math.max(1, Math.round((elapsed * (1 - share)) / share))} s left` : '';
const progressLine = (key, text, stop, className = 'fv-progress') => {
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
    setTimeout(look, 400);
  };
  setTimeout(look, 0);
  return row;
};
