// Questions to the server: answers are kept, what takes longer says how far it is and can be stopped.
//   asker(place) -> ask(question, {text, group, quiet}) -> promise of the reply, {error} among others. A new question of a group
//   ends the one before. A quiet one shows no line. ask.known(question) -> the reply, if it is held
const asker = (place) => {
  const known = new Map(),
    waiting = new Map(),
    groups = new Map(),
    MOST = 48;
  const name = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const left = (elapsed, share) =>
    share > 0.02 && share < 1 && elapsed > 1 ? `, about ${Math.max(1, Math.round((elapsed * (1 - share)) / share))} s left` : '';
  const line = (key, text) => {
    const row = make('div', 'fv-asking'),
      bar = make('progress'),
      words = make('span', 'fv-quiet', text);
    bar.max = 1;
    bar.setAttribute('aria-label', text);
    row.append(
      bar,
      words,
      button('fv-mini', 'Stop', 'Stop this', () => server.halt(key)),
    );
    const look = async () => {
      if (!row.isConnected) return;
      try {
        const { share, elapsed_s: elapsed, text: doing } = await server.progress(key);
        if (elapsed !== undefined) {
          words.textContent = `${doing || text}, ${Math.round(elapsed)} s${left(elapsed, share)}`;
          if (share === null) bar.removeAttribute('value');
          else bar.value = share;
        }
      } catch {
        /* the next look may succeed; the question itself tells what went wrong */
      }
      setTimeout(look, 400);
    };
    place.append(row);
    look();
    return row;
  };
  const put = async (question, key, text) => {
    let row = null;
    const later = text
      ? setTimeout(() => {
          row = line(key, text);
        }, 500)
      : 0;
    try {
      return await server.ask({ ...question, key });
    } catch {
      return { error: 'The server did not answer. Try again.' };
    } finally {
      clearTimeout(later);
      if (row) row.remove();
    }
  };
  const begin = (id, question, { text = 'Reading', group = '', quiet = false }) => {
    const key = name(),
      before = group && groups.get(group);
    if (before && waiting.has(before.id)) {
      server.halt(before.key);
      waiting.delete(before.id);
    }
    if (group) groups.set(group, { id, key });
    const reply = put(question, key, quiet ? '' : text).then((found) => {
      if (waiting.get(id) === reply) waiting.delete(id);
      if (!found.error) {
        known.set(id, found);
        if (known.size > MOST) known.delete(known.keys().next().value);
      }
      return found;
    });
    waiting.set(id, reply);
    return reply;
  };
  const ask = (question, how = {}) => {
    const id = JSON.stringify(question);
    return known.has(id) ? Promise.resolve(known.get(id)) : waiting.get(id) || begin(id, question, how);
  };
  ask.known = (question) => known.get(JSON.stringify(question));
  return ask;
};
