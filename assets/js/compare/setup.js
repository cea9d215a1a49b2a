// What is asked, and of whom: two to four columns, a question or a set of them. What was set stays while answers come.
// Events: ask {columns, question, blind, run}, questions {columns, source, count, kinds, text}, votes {kind, blind}, halt.
const LETTERS = 'ABCD',
  MODES = [
    ['one', 'One question'],
    ['set', 'Question set'],
    ['votes', 'Votes'],
  ],
  root = one('.fv-versus-setup');
const PLAIN = { temperature: 0, top_p: 1, length: 256, seed: 0, system: '', side_px: 0, quantization: 'none' };
// `held` is the last full value with what came since: while columns are asked only {running} comes, which names nobody.
let held = {},
  columns = [],
  mode = 'one',
  blind = false,
  asked = null,
  offered = '',
  open = new Set();
const q = make('textarea', 'fv-versus-question');
q.rows = 2;
q.id = 'compare-question';
q.placeholder = 'A question for all columns';
q.setAttribute('aria-label', 'Question for all columns');
q.maxLength = 100000;
const typed = make('textarea', 'fv-versus-question');
typed.rows = 5;
typed.id = 'compare-questions';
typed.setAttribute('aria-label', 'Questions, one on a line');
typed.placeholder = 'One question on a line; its true answer after a stroke, where it is known: What color is the heart? | pink';
typed.maxLength = 200000;
const set = { source: 'scenes', count: 24, name: '' };
const changed = (column) => Object.entries(PLAIN).some(([name, plain]) => column[name] !== plain);
const number = (name, low, high, step, label, column, title) => {
  const input = make('input');
  Object.assign(input, { type: 'number', min: low, max: high, step, value: column[name] });
  input.addEventListener('change', () => {
    const v = Number(input.value);
    column[name] = input.value.trim() && Number.isFinite(v) ? Math.min(high, Math.max(low, v)) : PLAIN[name];
    input.value = column[name];
  });
  return field(label, input, title);
};
const chooser = (column, i) => {
  const value = held,
    known = value.choices.map(([spec]) => spec),
    options = [...value.choices];
  if (!known.includes(column.spec)) options.push([column.spec, column.spec]);
  if (value.typed) options.push(['\u0000', 'Another: a folder or a Hub id']);
  const box = pick('', options, column.spec, (spec) => {
    if (spec !== '\u0000') {
      column.spec = spec;
      build();
      return;
    }
    const input = make('input', 'fv-versus-spec');
    input.type = 'text';
    input.placeholder = 'folder, or owner/name';
    input.maxLength = 300;
    input.setAttribute('aria-label', `Checkpoint of column ${LETTERS[i]}`);
    const done = () => {
      if (input.value.trim()) column.spec = input.value.trim();
      build();
    };
    input.addEventListener('keydown', (e) => {
      if (e.key === 'Enter') done();
      if (e.key === 'Escape') {
        e.stopPropagation();
        build();
      }
    });
    input.addEventListener('change', done);
    box.replaceChildren(input);
    input.focus();
  });
  box.querySelector('select').setAttribute('aria-label', `Checkpoint of column ${LETTERS[i]}`);
  return box;
};
const said = (column) => {
  const words = [column.temperature > 0 ? `temperature ${column.temperature}` : 'greedy'];
  if (column.temperature > 0 && column.top_p < 1) words.push(`top-p ${column.top_p}`);
  if (column.temperature > 0 && column.seed) words.push(`seed ${column.seed}`);
  if (column.length !== 256) words.push(`at most ${column.length} tokens`);
  if (column.side_px) words.push(`pictures at ${column.side_px} px`);
  if (column.quantization !== 'none') words.push(column.quantization);
  if (column.system.trim()) words.push('a system prompt');
  return words.join(', ');
};
const card = (column, i) => {
  const box = make('fieldset', 'fv-versus-card'),
    head = make('div', 'fv-versus-head'),
    more = make('details', 'fv-more'),
    line = make('summary', '', said(column)),
    grid = make('div', 'fv-versus-settings');
  const legend = make('legend', 'fv-heard', `Column ${LETTERS[i]}`);
  box.append(legend);
  head.append(make('b', 'fv-letter', LETTERS[i]), chooser(column, i));
  if (columns.length > 2)
    head.append(
      button('fv-mini fv-x', '\u00d7', `Remove column ${LETTERS[i]}`, () => {
        columns.splice(i, 1);
        build();
      }),
    );
  const system = make('textarea');
  system.rows = 2;
  system.value = column.system;
  system.maxLength = 8000;
  system.addEventListener('input', () => {
    column.system = system.value;
    line.textContent = said(column);
  });
  const bits = pick(
    'Weights',
    [
      ['none', 'as stored'],
      ['int8', 'int8'],
      ['nf4', 'nf4'],
    ],
    column.quantization,
    (v) => {
      column.quantization = v;
      line.textContent = said(column);
    },
    'int8 and nf4 need a CUDA GPU with bitsandbytes; elsewhere the column says so.',
  );
  grid.append(
    number('temperature', 0, 2, 0.05, 'Temperature', column, '0 is greedy'),
    number('top_p', 0.05, 1, 0.05, 'Top-p', column),
    number('seed', 0, 2147483647, 1, 'Seed', column),
    number(
      'length',
      1,
      held.longest,
      1,
      held.public ? `Length, up to ${held.longest}` : 'Length',
      column,
      `Most tokens of the answer${held.public ? '; this public page allows no more' : ''}`,
    ),
    number(
      'side_px',
      0,
      4096,
      14,
      'Longest side, px',
      column,
      'Pictures are scaled down to it first, where that makes a difference to the checkpoint; 0 leaves them',
    ),
    bits,
  );
  const prompt = field('System', system, 'In place of the system prompt of the chat');
  prompt.classList.add('wide');
  grid.append(prompt);
  grid.addEventListener('change', () => {
    line.textContent = said(column);
  });
  more.open = open.has(i);
  more.addEventListener('toggle', () => {
    more.open ? open.add(i) : open.delete(i);
  });
  more.append(line, grid);
  box.append(head, more);
  return box;
};
const plain = () => columns.map((column) => ({ ...column }));
const begin = () => {
  if (held.running) return;
  trigger('ask', { columns: plain(), question: q.value, blind });
};
const turn = (name) => {
  mode = name;
  document.dispatchEvent(new CustomEvent('fv-compare-mode', { detail: name }));
};
const modes = () => {
  const bar = make('div', 'fv-versus-modes');
  bar.setAttribute('role', 'group');
  bar.setAttribute('aria-label', 'What to compare by');
  for (const [name, text] of MODES) {
    const node = button('fv-mini' + (mode === name ? ' on' : ''), text, '', () => {
      turn(name);
      build();
      if (name === 'votes') trigger('votes', { kind: '', blind: false });
    });
    node.setAttribute('aria-pressed', mode === name);
    bar.append(node);
  }
  return bar;
};
const go = (text, act) => {
  const busy = held.running,
    node = button('fv-mini fv-go', text, '', act);
  node.disabled = busy;
  node.dataset.go = '';
  const stop = button('fv-mini fv-stop', 'Stop (Esc)', 'Stop every column; what was said stays', () => trigger('halt', {}));
  stop.id = 'compare-stop';
  stop.hidden = !busy;
  return [node, stop];
};
const single = () => {
  const box = make('div', 'fv-versus-ask'),
    value = held,
    bar = make('div', 'fv-actions'),
    chips = make('div', 'fv-questions');
  const hide = tick(
    'Blind',
    blind,
    (v) => {
      blind = v;
    },
    'Names are hidden and sides shuffled until you vote',
  );
  bar.append(...go('Compare', begin), hide, make('span', 'fv-quiet', value.pictures));
  for (const text of value.suggestions)
    chips.append(
      button('fv-chipq', text, 'Ask this', () => {
        q.value = text;
        begin();
      }),
    );
  box.append(q, chips, bar);
  return box;
};
const readFile = (input, note) => {
  const file = input.files[0];
  if (!file) return;
  if (file.size > 4e6) {
    note.textContent = `${file.name} has ${(file.size / 1e6).toFixed(1)} MB; at most 4 MB of questions are read. Split it.`;
    return;
  }
  const reader = new FileReader();
  reader.onload = () => {
    set.text = String(reader.result);
    set.name = file.name;
    note.textContent = `${file.name}, ${set.text.split('\n').filter((line) => line.trim()).length} lines`;
  };
  reader.readAsText(file);
};
const several = () => {
  const box = make('div', 'fv-versus-ask'),
    bar = make('div', 'fv-actions'),
    more = make('div', 'fv-actions');
  const sources = [
    ['scenes', 'Drawn scenes, whose truth is known'],
    ['typed', 'Typed questions about this picture'],
    ['file', 'A file of questions (JSONL or CSV)'],
  ];
  more.append(
    pick('Questions', sources, set.source, (v) => {
      set.source = v;
      build();
    }),
  );
  if (set.source === 'scenes') {
    const input = make('input');
    Object.assign(input, { type: 'number', min: 2, max: held.most, step: 1, value: set.count });
    input.addEventListener('change', () => {
      set.count = Math.round(Number(input.value)) || 24;
    });
    more.append(field('How many', input, 'Held-out questions of all kinds, the same ones each time'));
  }
  if (set.source === 'file') {
    const input = make('input'),
      note = make(
        'span',
        'fv-quiet',
        set.name || 'question, answer, kind, image: a drawn scene by its number, or none for the picture on the bench',
      );
    input.type = 'file';
    input.accept = '.jsonl,.json,.csv,.tsv,.txt';
    input.id = 'compare-file';
    input.setAttribute('aria-label', 'A file of questions');
    input.addEventListener('change', () => readFile(input, note));
    more.append(input, note);
  }
  box.append(more);
  if (set.source === 'typed') box.append(typed);
  bar.append(
    ...go('Ask all of them', () =>
      trigger('questions', {
        columns: plain(),
        source: set.source,
        count: set.count,
        text: set.source === 'typed' ? typed.value : set.source === 'file' ? set.text || '' : '',
        name: set.name,
      }),
    ),
    make('span', 'fv-quiet', `At most ${held.most} questions.`),
  );
  box.append(bar);
  return box;
};
const offer = (value) => {
  // what the bench or an address brings: columns and a question that nobody typed
  if (!columns.length || value.asked !== asked) {
    if (!columns.length || value.fixed)
      columns = value.columns.map((column) => ({
        ...PLAIN,
        ...column,
        length: Math.min(value.longest, column.length || PLAIN.length),
      })); // else what was set stays
    if (value.asked !== asked && value.asked) {
      turn('one');
      q.value = value.question;
      offered = value.question;
    }
    asked = value.asked;
    open = new Set(columns.map((column, i) => (changed(column) ? i : -1)).filter((i) => i >= 0));
  }
  if (!q.value.trim() || q.value === offered) {
    q.value = value.question;
    offered = value.question;
  }
};
const build = () => {
  if (props.value) held = { ...held, ...props.value };
  if (!held.choices) {
    root.replaceChildren();
    return;
  }
  const value = held;
  offer(value);
  const focused = document.activeElement === q;
  const cards = make('div', 'fv-versus-cards');
  cards.append(...columns.map(card));
  if (columns.length < 4)
    cards.append(
      button('fv-mini fv-versus-add', '+ Column', 'Add a column', () => {
        const last = columns[columns.length - 1],
          other = value.choices.map(([spec]) => spec).find((spec) => !columns.some((column) => column.spec === spec));
        columns.push(other ? { ...PLAIN, spec: other } : { ...last, temperature: 1, seed: columns.length });
        if (!other) open.add(columns.length - 1);
        build();
      }),
    );
  const parts = [cards, modes()];
  if (mode === 'one') parts.push(single());
  if (mode === 'set') parts.push(several());
  root.replaceChildren(...parts);
  root.dataset.mode = mode;
  if (focused) q.focus();
};
q.addEventListener('keydown', (e) => {
  if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
    e.preventDefault();
    begin();
  }
});
document.addEventListener('keydown', (e) => {
  const stop = root.querySelector('#compare-stop');
  if (e.key === 'Escape' && !document.querySelector('dialog[open]') && stop && stop.offsetParent) stop.click();
});
watch('value', build);
build();
// 'ask' 'questions' 'votes' 'halt'
