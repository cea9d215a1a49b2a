// The controls of the map that is shown, by the names MAPS gives them.
const STAGE = { tower: 'Vision tower', connector: 'Connector', decoder: 'Decoder' };
const set = (name, rebuild) => (value) => {
  s[name] = value;
  if (rebuild) controls();
  drawMap();
};
const control = {
  stage: () => {
    const stages = Object.entries(data.stages),
      why = stages
        .map(([, stage]) => stage.why)
        .filter(Boolean)
        .join(' ');
    return pick(
      'Features of',
      stages.map(([key, stage]) => [key, STAGE[key], stage.why]),
      s.stage,
      set('stage', true),
      why,
    );
  },
  layer: () => {
    const count = data.stages[s.stage].layers,
      tower = s.stage === 'tower';
    if (count < 2) return null;
    const words = (v) => (tower ? `${v + 1} of ${count}` : v === 0 ? '0, what enters' : `${v} of ${count - 1}`);
    return slide(
      tower ? 'Layer' : 'Depth',
      0,
      count - 1,
      layerNow(),
      1,
      (v) => {
        s.layer[s.stage] = v;
        drawMap();
      },
      words,
    );
  },
  word: () => {
    const input = make('input');
    let later = 0;
    Object.assign(input, { type: 'text', maxLength: 100, value: s.typed, placeholder: 'red' });
    input.addEventListener('input', () => {
      clearTimeout(later);
      later = setTimeout(() => set('typed')(input.value.trim()), 250);
    });
    return field('Word', input);
  },
  way: () =>
    pick(
      'Attention',
      [
        ['to', 'from the chosen patches'],
        ['from', 'to the chosen patches'],
      ],
      s.way,
      set('way'),
    ),
  tower: () => {
    const count = data.stages.tower.layers;
    return slide('Layer', 0, count - 1, s.tower, 1, set('tower'), (v) => `${v + 1} of ${count}`);
  },
  head: () =>
    pick('Head', [[null, 'mean of all'], ...counted(data.heads, 'head').slice(1)], s.head, (v) => set('head')(orNull(v))),
  partner: () =>
    pick('Other picture', [['', s.map === 'between' ? 'choose one' : 'none'], ...(partners || [])], s.partner, (v) => {
      s.depths = null;
      set('partner', true)(v);
    }),
  patch: () =>
    button('fv-mini fv-primary', 'Patch', 'Run the other picture once for every block of patches and every depth', patchNow),
  depth: () => {
    if (!s.depths) return null;
    const last = s.depths.length - 1;
    return slide('Depth', 0, last, Math.min(s.depth, last), 1, set('depth'), (v) =>
      s.depths[v] === 0 ? '0, what enters' : s.depths[v],
    );
  },
};
// Why a map cannot be shown of this answer; empty where it can.
const impossible = {
  seen: () => data.stages.tower.why || (data.heads ? '' : 'The tower\u2019s attention cannot be heard.'),
  used: () => (data.decoder[0] && data.words.length ? '' : 'There is no word whose attention is known.'),
};
const mapButtons = () => {
  const box = make('div', 'fv-pmaps');
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', 'What the picture shows');
  for (const kind of Object.keys(MAPS)) {
    const [title, words] = data.titles[kind];
    const why = impossible[kind] ? impossible[kind]() : '',
      node = button('fv-mini', title, why || words, () => toMap(kind));
    node.dataset.map = kind;
    node.disabled = Boolean(why);
    box.append(node);
  }
  return box;
};
const controls = () => {
  const [, words] = data.titles[s.map],
    names = MAPS[s.map];
  for (const node of p.maps.children) {
    node.classList.toggle('on', node.dataset.map === s.map);
    node.setAttribute('aria-pressed', node.dataset.map === s.map);
  }
  p.about.textContent = words;
  p.controls.replaceChildren(...names.map((name) => control[name]()).filter(Boolean));
  p.controls.hidden = !p.controls.childNodes.length;
};
const toMap = async (kind) => {
  s.map = kind;
  controls();
  drawMap();
  if (!MAPS[kind].includes('partner') || partners) return;
  const mine = run,
    reply = await ask({ kind: 'partners', run });
  if (mine === run && !reply.error) {
    partners = reply.partners;
    controls();
  }
};
