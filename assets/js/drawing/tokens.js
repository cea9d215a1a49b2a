// An answer as chips: tint by probability, alternatives on hover or focus, arrows move, a click on one branches.
const chips = (tokens, branch) => {
  const box = make('div', 'fv-chips');
  box.setAttribute('role', 'group');
  box.setAttribute(
    'aria-label',
    'Tokens of the answer with their probabilities. Left and right move, down goes to the alternatives.',
  );
  tokens.forEach((token, index) => {
    const p = Math.exp(token.p);
    const chip = make('button', 'fv-chip' + (token.given ? ' given' : ''), shown(token.t));
    chip.type = 'button';
    chip.dataset.index = index;
    chip.tabIndex = index ? -1 : 0;
    chip.style.setProperty('--p', token.given ? 1 : p);
    chip.setAttribute('aria-label', `${shown(token.t)}: ${token.given ? 'given, not chosen by the model' : percent(p)}`);
    box.append(chip);
    if (token.t.includes('\n')) box.append(make('span', 'fv-break'));
  });
  box.append(
    make('div', 'fv-legend', 'Bar: probability before temperature and top-p, 0 to 100 %. Tint: the rest of it. Dashed: given.'),
  );
  const card = make('div', 'fv-card');
  card.hidden = true;
  box.append(card);
  const fill = (chip) => {
    const index = +chip.dataset.index,
      token = tokens[index];
    card.replaceChildren(
      make(
        'div',
        'fv-card-title',
        token.given ? `token ${index + 1}, id ${token.id}: given, not chosen by the model` : `token ${index + 1}, id ${token.id}`,
      ),
    );
    for (const [id, text, logprob] of token.alts) {
      const p = Math.exp(logprob),
        same = id === token.id;
      const row = make(same ? 'div' : 'button', 'fv-alt' + (same ? ' chosen' : ''));
      if (!same) {
        row.type = 'button';
        row.title = 'Continue the answer from here';
        row.addEventListener('click', () => branch(index, id));
      }
      const bar = make('span', 'fv-bar');
      bar.style.width = (100 * p).toFixed(1) + '%';
      row.append(bar, make('span', 'fv-alt-text', shown(text)), make('span', 'fv-alt-p', percent(p)));
      card.append(row);
    }
    if (token.alts.some(([id]) => id !== token.id))
      card.append(make('div', 'fv-card-hint', 'Choose an alternative to continue the answer from it.'));
  };
  const show = (chip) => {
    if (!card.hidden && card.dataset.index === chip.dataset.index) return;
    card.dataset.index = chip.dataset.index;
    fill(chip);
    card.hidden = false;
    const scroller = scrollBox(),
      below = chip.offsetTop + chip.offsetHeight + 2;
    const room = scroller ? scroller.getBoundingClientRect().bottom - chip.getBoundingClientRect().bottom : 999;
    const above = room < card.offsetHeight + 8 && chip.offsetTop > card.offsetHeight;
    card.style.left = Math.max(0, Math.min(chip.offsetLeft, box.clientWidth - card.offsetWidth)) + 'px';
    card.style.top = (above ? chip.offsetTop - card.offsetHeight - 4 : below) + 'px';
    if (room < card.offsetHeight + 8 && !above && scroller) scroller.scrollTop += card.offsetHeight + 12 - room;
  };
  const hide = () => {
    card.hidden = true;
  };
  const all = () => [...box.querySelectorAll('.fv-chip')],
    options = () => [...card.querySelectorAll('button.fv-alt')];
  const chipOf = () => all()[+card.dataset.index];
  const walk = (nodes, to, e) => {
    if (nodes[to]) {
      nodes[to].focus();
      e.preventDefault();
    }
  };
  for (const kind of ['mouseover', 'focusin', 'click'])
    box.addEventListener(kind, (e) => {
      const chip = e.target.closest('.fv-chip');
      if (chip) show(chip);
    });
  box.addEventListener('focusin', (e) => {
    const chip = e.target.closest('.fv-chip');
    if (chip) roving(all(), +chip.dataset.index);
  });
  box.addEventListener('mouseleave', () => {
    if (!box.contains(document.activeElement)) hide();
  });
  box.addEventListener('focusout', (e) => {
    if (!box.contains(e.relatedTarget)) hide();
  });
  box.addEventListener('keydown', (e) => {
    const chip = e.target.closest('.fv-chip'),
      option = e.target.closest('.fv-alt');
    if (e.key === 'Escape' && !card.hidden) {
      if (option) chipOf().focus();
      hide();
      e.stopPropagation();
      return;
    }
    if (chip) {
      const at = +chip.dataset.index,
        to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokens.length - 1 }[e.key];
      if (e.key === 'ArrowDown') {
        show(chip);
        walk(options(), 0, e);
      } else if (to !== undefined) walk(all(), to, e);
    } else if (option) {
      const at = options().indexOf(option);
      if (e.key === 'ArrowUp' && at === 0) walk([chipOf()], 0, e);
      else walk(options(), { ArrowDown: at + 1, ArrowUp: at - 1 }[e.key] ?? -1, e);
    }
  });
  return box;
};
