// What is said of the chosen patches beside the picture: words that used them, what the lens says, shares brought back.
const nats = (v) => `${digits(v)} ${Math.abs(v) === 1 ? 'nat' : 'nats'}`;
// One row for each word of the answer. show({received, mass}) and lost({before, after, instead}) fill it in.
const wordsTable = (words, choose) => {
  const { node, body } = table('Words of the answer', [
    ['Word'],
    ['Attention here', 'Sum over these patches of the attention of the position that predicts the word'],
    ['Before', 'Probability with the whole picture'],
    ['Without', 'Probability with these patches hidden'],
    ['Lost, nats', 'How much log-probability it loses'],
    ['Likeliest then', 'The likeliest token at this place then'],
  ]);
  const rows = words.map((word, k) => {
    const row = make('tr'),
      name = button('fv-chip fv-pword', shown(word.t), 'Show this word\u2019s attention on the picture', () => choose(k));
    const cells = Array.from({ length: 5 }, () => cellOf(make('span', 'fv-pnum')));
    name.style.setProperty('--p', Math.exp(word.p));
    cells[4].className = 'fv-pinstead';
    row.append(cellOf(name), ...cells);
    body.append(row);
    cells[1].firstChild.textContent = percent(Math.exp(word.p));
    return { row, name, cells };
  });
  const put = (cell, text, share, kind) => {
    cell.replaceChildren(make('span', 'fv-pnum', text));
    if (share) cell.append(shareBar(share, kind));
  };
  const roam = rows.map((row) => row.name);
  roving(roam, 0);
  body.addEventListener('focusin', (e) => {
    const at = roam.indexOf(e.target);
    if (at >= 0) roving(roam, at);
  });
  body.addEventListener('keydown', (e) => {
    const to = { ArrowDown: 1, ArrowUp: -1 }[e.key],
      at = roam.indexOf(e.target);
    if (to && roam[at + to]) {
      roam[at + to].focus();
      e.preventDefault();
    }
  });
  return {
    node,
    mark(k) {
      rows.forEach((row, i) => {
        row.row.classList.toggle('on', i === k);
        row.name.setAttribute('aria-pressed', i === k);
      });
    },
    received(values, most) {
      rows.forEach(({ cells }, k) => put(cells[0], digits(values[k]), most > 0 ? values[k] / most : 0));
    },
    lost(reply) {
      const before = reply && floats(reply.before),
        after = reply && floats(reply.after),
        most = reply ? Math.max(0.5, ...before.map((v, k) => Math.abs(v - after[k]))) : 1;
      rows.forEach(({ cells }, k) => {
        if (!reply) {
          for (const cell of cells.slice(2)) put(cell, '\u2013', 0);
          return;
        }
        const gone = before[k] - after[k],
          [id, text, p] = reply.instead[k];
        put(cells[1], percent(Math.exp(before[k])), 0);
        put(cells[2], percent(Math.exp(after[k])), 0);
        put(cells[3], Math.abs(gone) < 0.0005 ? '0' : digits(gone), Math.abs(gone) / most, gone < 0 ? 'gain' : 'loss');
        cells[4].replaceChildren(make('bdi', 'fv-pmono', shown(text)), make('span', 'fv-quiet', ' ' + percent(Math.exp(p))));
        cells[4].classList.toggle('other', id !== words[k].id);
      });
    },
  };
};
// What hiding does, in a sentence.
const lossInWords = (words, reply, many) => {
  const before = floats(reply.before),
    after = floats(reply.after),
    gone = before.map((v, k) => v - after[k]);
  if (!gone.length) return 'The answer is empty.';
  const whole = gone.reduce((a, b) => a + b, 0),
    worst = gone.indexOf(Math.max(...gone)),
    it = many ? 'them' : 'it';
  if (gone.every((v) => Math.abs(v) < 0.01)) return `Without ${it} no word becomes less or more likely by 0.01 nats.`;
  const first = `Without ${it} the answer is ${nats(Math.abs(whole))} ${whole < 0 ? 'more' : 'less'} likely`;
  const name = `\u201c${shown(words[worst].t)}\u201d`,
    then = `${percent(Math.exp(before[worst]))} to ${percent(Math.exp(after[worst]))}`;
  if (words.length === 1) return `${first}: ${then}.`;
  return gone[worst] < 0.01 ? `${first}; no word loses 0.01 nats or more.` : `${first}; ${name} loses most, from ${then}.`;
};
const lensTable = (reply) => {
  const { node, body } = table('What the lens says, by depth', [['Depth'], ['Likeliest words, with their probability']]),
    last = reply.rows.length - 1;
  for (const [depth, words] of [...reply.rows].reverse()) {
    const row = make('tr'),
      list = make('td', 'fv-plens');
    for (const [text, p] of words) {
      const item = make('span', 'fv-plens-w');
      item.style.setProperty('--p', p);
      item.append(make('bdi', 'fv-pmono', shown(text)), make('span', 'fv-quiet', percent(p)));
      list.append(item);
    }
    row.append(make('td', 'fv-pnum', depth === 0 ? '0, enters' : depth === last ? `${depth}, leaves` : depth), list);
    body.append(row);
  }
  return node;
};
