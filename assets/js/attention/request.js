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
// The reply, which may hold {error}; {stopped: true} where it was stopped or something else was asked meanwhile. `kind` null stands alone.
const quest = async (kind, question, text, place) => {
  const job = { key: newKey(), stopped: false };
  let row = null;
  if (kind) {
    endWork(kind);
    working.set(kind, job);
  }
  const later = setTimeout(() => {
    row = progressLine(job.key, text, () => halt(job));
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
