// What becomes of the answer when patches are hidden, knocked out, or patched from another picture.
const DOING = { mean: 'Hiding', cut: 'Knocking out', patch: 'Patching' };
const change = async (how, more = {}) => {
  const got = await quest('change', question('change', { cells: chosen, how, ...more }), DOING[how], p.busy);
  if (got.error || got.stopped) {
    trouble(got.error || 'Stopped.');
    return;
  }
  trouble('');
  changeShown(got);
  p.change.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
};
// The row that asks for the other picture and the depth. Which pictures there are is asked for once an answer.
const patchRow = () => {
  p.patching = make('div', 'fv-patching');
  p.patching.hidden = true;
  p.partner = pick([['', 'Choose another picture']], '', () => {
    p.patchNow.disabled = !p.partner.value;
  });
  p.depth = pick(
    Array.from({ length: view.layers + 1 }, (_, d) => [
      d,
      d === 0 ? '0, what enters' : d === view.layers ? `${d}, what leaves` : d,
    ]),
    0,
    () => {},
  );
  p.patchNow = button(
    'fv-mini fv-primary',
    'Patch',
    'Give the selected patches the states they have in the other picture, and see what becomes of the answer',
    () => change('patch', { partner: p.partner.value, depth: +p.depth.value }),
  );
  p.patchNow.disabled = true;
  p.patching.append(
    field('From', p.partner),
    field('Depth', p.depth, '0 enters the first layer; the last one leaves the decoder'),
    p.patchNow,
  );
  return p.patching;
};
const choosePartner = async () => {
  p.patching.hidden = !p.patching.hidden;
  if (p.patching.hidden || p.partner.length > 1) return;
  const run = view.run,
    got = await quest(null, question('partners'), 'Looking for other pictures', p.busy);
  if (!view || view.run !== run) return;
  if (got.error) {
    trouble(got.error);
    return;
  }
  if (!got.partners.length) {
    trouble('There is no other picture yet. Ask about one in this session, or about a drawn scene.');
    p.patching.hidden = true;
    return;
  }
  if (p.partner.length === 1)
    for (const [id, label] of got.partners) {
      const o = make('option', '', label);
      o.value = id;
      p.partner.append(o);
    }
};
// Whether what the decoder says at patches can be believed is measured when asked for.
const measureLens = async () => {
  const run = view.run,
    got = await quest('measure', question('measure'), 'Measuring lens health', p.busy);
  if (!view || view.run !== run) return;
  if (got.error || got.stopped) {
    trouble(got.error || 'Stopped. What was measured is kept: the next measurement goes on there.');
    return;
  }
  trouble('');
  view.lens = got.lens;
  for (const m of view.methods)
    for (const o of p.method.querySelectorAll(`option[value="${m.slug}"]`)) o.textContent = methodName(m);
  about();
};
const changeShown = (change) => {
  const list = make('div', 'fv-change-words');
  p.change.hidden = false;
  change.before.forEach((before, k) => {
    const after = change.after[k],
      word = make('span', 'fv-change-word');
    word.append(
      make('bdi', '', shown(view.tokens[k].t)),
      make('span', '', percent(Math.exp(before))),
      make('span', '', percent(Math.exp(after))),
    );
    word.style.setProperty('--lost', Math.max(0, Math.min(1, (before - after) / STRONG_NATS)));
    word.title = `${digits(before - after)} nats lost`;
    list.append(word);
  });
  const moved =
    Math.abs(change.lost) < 0.001
      ? 'stays as likely, to .001 nats'
      : `${change.lost < 0 ? 'gains' : 'loses'} ${digits(Math.abs(change.lost))} nats`;
  const gone = `${change.what}: the answer ${moved}.`,
    many = !/^1 /.test(change.what);
  p.change.replaceChildren(
    make('p', '', `${gone} Written anew, each token the likeliest, it is:`),
    make('div', 'fv-text', change.anew + (change.ended ? '' : ' \u2026')),
    list,
    make('p', 'fv-quiet', 'Each token of the answer with its probability before, and after. Tint: nats lost.'),
  );
  if (change.brought)
    p.change.append(
      make(
        'p',
        '',
        'The other way round: states of this picture put into a run on the other, and the share of this answer that comes back.',
      ),
      ...broughtView({ ...change.brought, picture: change.picture }, many),
    );
};
