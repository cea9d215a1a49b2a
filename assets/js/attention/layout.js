// The parts of the tab, laid out. What they do is in attention.js.
const field = (text, node, title) => {
  const label = make('label', 'fv-field');
  label.append(make('span', '', text), node);
  if (title) label.title = title;
  return label;
};
const pick = (options, value, act) => {
  const node = make('select');
  for (const [v, text] of options) {
    const o = make('option', '', text);
    o.value = v;
    node.append(o);
  }
  node.value = value;
  node.addEventListener('change', () => act(node.value));
  return node;
};
const slide = (low, high, step, value, act) => {
  const node = make('input');
  node.type = 'range';
  Object.assign(node, { min: low, max: high, step, value });
  node.addEventListener('input', () => act(+node.value));
  return node;
};
const tick = (text, value, act, title) => {
  const label = make('label', 'fv-tick'),
    node = make('input');
  node.type = 'checkbox';
  node.checked = value;
  node.addEventListener('change', () => act(node.checked));
  label.append(node, make('span', '', text));
  label.box = node;
  if (title) label.title = title;
  return label;
};
// A method's name with what is known of it: which was measured best, which read a lens that is not known to be good.
const methodName = (m) => {
  const doubt =
    m.gated && !view.lens.usable ? (view.lens.usable === null ? ' (lens not measured)' : ' (lens not to be believed)') : '';
  return m.title + (m.best && !doubt ? ' (best measured)' : doubt);
};
const methodPicker = () => {
  const node = make('select');
  node.id = 'attention-method';
  for (const cost of Object.keys(view.costs)) {
    const group = make('optgroup');
    group.label = view.costs[cost];
    for (const m of view.methods.filter((one) => one.cost === cost)) {
      const o = make('option', '', methodName(m));
      o.value = m.slug;
      o.disabled = !m.can;
      o.title = m.why || m.measures;
      group.append(o);
    }
    if (group.children.length) node.append(group);
  }
  node.addEventListener('change', () => {
    spec.method = node.value;
    refresh();
  });
  return node;
};
const headLine = () => {
  const head = make('div', 'fv-look-head'),
    typed = make('input', 'fv-typed'),
    send = () => load(view.run, typed.value.trim());
  Object.assign(typed, { type: 'text', maxLength: 4000, value: view.typed, placeholder: 'Trace another answer' });
  typed.setAttribute('aria-label', 'Another answer to trace in place of the logged one');
  typed.addEventListener('keydown', (e) => {
    if (e.key === 'Enter') send();
  });
  const what = make('bdi', 'fv-quiet', `${view.checkpoint}: ${view.question}`);
  what.title = view.question;
  head.append(
    what,
    typed,
    button(
      'fv-mini',
      'Trace',
      'Read this text as the answer to the same question; an empty one brings the logged answer back',
      send,
    ),
  );
  return head;
};
const mapSide = () => {
  const left = make('div', 'fv-look-left'),
    tools = make('div', 'fv-look-tools'),
    acts = make('div', 'fv-actions');
  const toggled = (cell, more) =>
    more ? [...new Set([...chosen, cell])] : chosen.length === 1 && chosen[0] === cell ? [] : [cell];
  const region = (cells, e) => select(e.shiftKey ? [...new Set([...chosen, ...cells])] : cells);
  const alone = (k) => {
    for (const heat of [p.heat, ...p.three.map((one) => one.heat)]) heat.only(k);
  };
  p.heat = heatmap(view.pictures, {
    label: 'Map',
    alone,
    region,
    pick: (cell, e) => select(toggled(cell, e.shiftKey)),
    hover: hovered,
  });
  p.title = make('h3', 'fv-map-title');
  p.note = make('p', 'fv-quiet fv-map-note');
  p.note.title = 'Image attention: the share of the word\u2019s attention that falls on the picture';
  p.scale = make('div');
  p.readout = make('p', 'fv-quiet fv-readout');
  p.readout.setAttribute('role', 'status');
  p.main = make('div', 'fv-map');
  p.main.append(p.heat.node, p.scale);
  p.pair = make('div', 'fv-three');
  p.pair.hidden = true;
  if (view.pictures.length === 1) {
    const [w, h] = view.pictures[0].size;
    p.main.style.setProperty('--aspect', w / h);
  }
  const readThree = (cell) => {
    const each = () => p.three.map(({ heat }, i) => `${['A', 'B', 'A \u2212 B'][i]} ${heat.words(cell).split(': ').pop()}`);
    p.readout.textContent = cell < 0 ? '' : `${p.heat.where(cell)}: ${each().join(' \u00b7 ')}`;
  };
  p.three = ['A', 'B', 'A minus B'].map((name) => {
    const box = make('figure', 'fv-third'),
      heat = heatmap(view.pictures, { label: name, raster: 320, alone, hover: readThree });
    const one = { title: make('figcaption'), note: make('p', 'fv-quiet'), heat, scale: make('div') };
    box.append(one.title, one.note, one.heat.node, one.scale);
    p.pair.append(box);
    return one;
  });
  tools.append(
    field(
      'Opacity',
      slide(0, 1, 0.02, look.opacity, (v) => {
        look.opacity = v;
        again();
      }),
    ),
    field(
      'Scale',
      pick(
        [
          ['linear', 'linear'],
          ['percentile', 'percentile 1\u201399'],
        ],
        look.how,
        (v) => {
          look.how = v;
          again();
        },
      ),
    ),
    tick(
      'one for all words',
      look.shared,
      (v) => {
        look.shared = v;
        again();
      },
      'The same scale for every word of the answer that has been drawn this way',
    ),
    tick('smooth', look.smooth, (v) => {
      look.smooth = v;
      again();
    }),
  );
  p.keep = button('fv-mini', 'Keep as A', 'Keep this map as A; what is shown next is B, beside it and as a difference', () => {
    kept = kept ? null : drawn;
    controls();
    again();
  });
  p.hide = button('fv-mini', 'Hide', 'Put the mean patch in their place and see what becomes of the answer', () =>
    change('mean'),
  );
  p.knock = button('fv-mini', 'Knock out', 'Let the text attend to them no more and see what becomes of the answer', () =>
    change('cut'),
  );
  p.other = button(
    'fv-mini',
    'Patch from\u2026',
    'Give them the states they have in another picture and see what becomes of the answer',
    choosePartner,
  );
  p.clear = button('fv-mini', 'Clear', 'Select no patches', () => select([]));
  acts.append(
    p.keep,
    button('fv-mini', 'Agreement', 'Every method\u2019s map of this word, and how far they agree', agreement),
    p.hide,
    p.knock,
    p.other,
    p.clear,
  );
  const known = view.geometry ? [make('p', 'fv-quiet', view.geometry)] : [];
  left.append(p.title, p.note, p.main, p.pair, ...known, p.readout, tools, acts, patchRow(), exportMenu(exported));
  return left;
};
const choiceSide = () => {
  const right = make('div', 'fv-look-right'),
    number = (v) => (v ? v - 1 : null);
  p.method = methodPicker();
  p.about = make('div', 'fv-about');
  p.layerText = make('output');
  p.headText = make('output');
  p.layer = slide(0, view.layers, 1, 0, (v) => {
    spec.layer = number(v);
    refresh();
  });
  p.head = slide(0, view.heads, 1, 0, (v) => {
    spec.head = number(v);
    refresh();
  });
  p.layer.id = 'attention-layer';
  p.head.id = 'attention-head';
  const layer = field('Layer', p.layer),
    head = field('Head', p.head);
  layer.append(p.layerText);
  head.append(p.headText);
  const asked = view.things.map((t, i) => (t.asked ? i : -1)).filter((i) => i >= 0),
    options = [['[]', 'image attention']],
    seen = new Set();
  const offer = (things, text) => {
    const value = JSON.stringify(things);
    if (!seen.has(value)) {
      seen.add(value);
      options.push([value, text]);
    }
  };
  if (asked.length)
    offer(asked, `share on the ${[...new Set(asked.map((i) => view.things[i].name))].join(', the ')}: asked about`);
  const within = (t) => (view.pictures.length > 1 ? `, ${view.pictures[t.picture].label}` : '');
  view.things.forEach((t, i) => offer([i], `share on the ${t.name}${within(t)}`));
  p.target = pick(options, '[]', () => {
    const things = JSON.parse(p.target.value);
    p.heat.frame(view.things.filter((t, i) => things.includes(i)));
    overview();
  });
  p.target.hidden = options.length === 1;
  p.target.setAttribute('aria-label', 'What the figure of layers and heads shows');
  p.overview = overviewFigure(view.layers, view.heads, chooseHead);
  p.sinks = tick(
    'frame attention sinks',
    false,
    (on) => frameSinks(on),
    'Patches that draw attention for what they are, not for what they show',
  );
  p.remove = tick('set sinks aside', false, (on) => setAside(on), 'Their scores count as zero');
  p.sinkText = make('p', 'fv-quiet');
  const more = make('details', 'fv-more');
  more.append(
    make('summary', '', 'More'),
    field(
      'Row',
      pick(
        [
          ['predicting', 'the position that predicts the word'],
          ['reading', 'the word\u2019s own position'],
        ],
        spec.rows,
        (v) => {
          spec.rows = v;
          refresh();
        },
      ),
      'Whose attention is drawn',
    ),
    field(
      'Many',
      pick(
        [
          ['mean', 'mean over layers and heads'],
          ['max', 'largest of layers and heads'],
        ],
        spec.reduce,
        (v) => {
          spec.reduce = v;
          refresh();
        },
      ),
    ),
    p.sinks,
    p.remove,
    p.sinkText,
  );
  right.append(
    field('Method', p.method),
    p.about,
    layer,
    head,
    make('h3', '', 'Layers and heads'),
    p.target,
    p.overview.node,
    more,
  );
  return right;
};
const shell = () => {
  p.words = wordChips(view.tokens, {
    preview,
    pin: (words) => {
      spec.words = words;
      previewing = -1;
      refresh();
    },
  });
  p.trouble = make('div', 'fv-error');
  p.trouble.setAttribute('role', 'alert');
  p.busy = make('div', 'fv-busy');
  const body = make('div', 'fv-look');
  body.append(mapSide(), choiceSide());
  p.change = make('div', 'fv-change');
  p.change.hidden = true;
  p.agree = make('div');
  p.agree.hidden = true;
  const notes = view.dependence ? [make('p', 'fv-quiet', `Visual dependence is not known here. ${view.dependence}`)] : [];
  root.replaceChildren(headLine(), p.words.node, ...notes, p.busy, p.trouble, body, p.change, p.agree);
};
