// Questions to the server. Of each kind of work one is under way: a new one ends the one before. What takes long says how far it is.
const working = new Map();
const newKey = () => Array.from({ length: 3 }, () => Math.random().toString(36).slice(2)).join('');
const halt = (job) => {
  job.stopped = true;
  Promise.resolve(server.halt(job.key)).catch(() => {});
};
const endWork = (kind) => {
  const job = working.get(kind);
  if (job) {
    working.delete(kind);
    halt(job);
  }
};
const progressLine = (job, text) => {
  const row = make('div', 'fv-progress'),
    bar = make('progress'),
    words = make('span', '', text);
  bar.max = 1;
  bar.setAttribute('aria-label', text);
  row.append(
    bar,
    words,
    button('fv-mini', 'Stop', 'Stop this; what is shown stays', () => {
      words.textContent = 'Stopping';
      halt(job);
    }),
  );
  const ask = async () => {
    if (!row.isConnected) return;
    try {
      const { share, elapsed_s: elapsed, text: doing } = await server.progress(job.key);
      if (elapsed !== undefined && !job.stopped) {
        const left =
          share > 0.02 && share < 1 && elapsed > 1
            ? `, about ${Math.max(1, Math.round((elapsed * (1 - share)) / share))} s still`
            : '';
        words.textContent = `${doing || text}, ${Math.round(elapsed)} s${left}`;
        if (share === null) bar.removeAttribute('value');
        else bar.value = share;
      }
    } catch {
      /* the next look may succeed; the question itself tells what went wrong */
    }
    setTimeout(ask, 400);
  };
  setTimeout(ask, 0);
  return row;
};
// The reply, which may hold {error}; {stopped: true} where it was stopped or something else was asked meanwhile. `kind` null stands alone.
const quest = async (kind, question, text, place) => {
  const job = { key: newKey(), stopped: false };
  let row = null;
  if (kind) {
    endWork(kind);
    working.set(kind, job);
  }
  const later = setTimeout(() => {
    row = progressLine(job, text);
    place.append(row);
  }, 350);
  try {
    const got = await server.ask({ ...question, key: job.key });
    return job.stopped || (kind && working.get(kind) !== job) ? { stopped: true } : got;
  } catch {
    return job.stopped ? { stopped: true } : { error: 'The server did not answer. Try again.' };
  } finally {
    clearTimeout(later);
    if (row) row.remove();
    if (working.get(kind) === job) working.delete(kind);
  }
};
