// Questions to the server: answers are kept, what takes longer says how far it is and can be stopped.
//   asker(place) -> ask(question) -> promise of the reply, {error} among others; ask.known(question) -> the reply, if it is held
const asker = (place) => {
  const known = new Map(), waiting = new Map(), MOST = 48;
  const name = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const line = (key, text) => {
    const row = make('div', 'fv-asking'), bar = make('progress'), words = make('span', 'fv-quiet', text); bar.max = 1; bar.setAttribute('aria-label', text);
    row.append(bar, words, button('fv-mini', 'Stop', 'Stop this', () => server.halt(key)));
    const look = async () => {
      if (!row.isConnected) return;
      try {
        const { share, elapsed_s: elapsed, text: doing } = await server.progress(key);
        if (elapsed !== undefined) {
          const left = share > 0.02 && share < 1 && elapsed > 1 ? `, about ${Math.max(1, Math.round(elapsed * (1 - share) / share))} s left` : '';
          words.textContent = `${doing || text}, ${Math.round(elapsed)} s${left}`;
          if (share === null) bar.removeAttribute('value'); else bar.value = share;
        }
      } catch { /* the next look may succeed; the question itself tells what went wrong */ }
      setTimeout(look, 400);
    };
    place.append(row); look(); return row;
  };
  const put = async (question, text) => {
    const key = name(); let row = null; const later = setTimeout(() => { row = line(key, text || 'Reading'); }, 500);
    try { return await server.ask({ ...question, key }); } catch { return { error: 'The server did not answer. Try again.' }; } finally { clearTimeout(later); if (row) row.remove(); }
  };
  const ask = (question, text) => {
    const id = JSON.stringify(question);
    if (known.has(id)) return Promise.resolve(known.get(id));
    if (!waiting.has(id)) {
      waiting.set(id, put(question, text).then((reply) => {
        waiting.delete(id);
        if (!reply.error) { known.set(id, reply); if (known.size > MOST) known.delete(known.keys().next().value); }
        return reply;
      }));
    }
    return waiting.get(id);
  };
  ask.known = (question) => known.get(JSON.stringify(question));
  return ask;
};
