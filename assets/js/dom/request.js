// Questions to the server: answers are kept, what takes longer says how far it is and can be stopped.
//   asker(place) -> ask(question, {text, group, quiet}) -> promise of the reply, {error} among others. A new question of a group
//   ends the one before. A quiet one shows no line. ask.known(question) -> the reply, if it is held
const asker = (place) => {
  const known = new Map(),
    waiting = new Map(),
    groups = new Map(),
    MOST = 48;
  const name = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const put = async (question, key, text) => {
    let row = null;
    const later = text
      ? setTimeout(() => {
          row = progressLine(key, text, () => server.halt(key), 'fv-asking');
          place.append(row);
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
