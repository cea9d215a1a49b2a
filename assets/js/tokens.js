// An answer as chips: tint by probability, alternatives on hover or focus, arrows move, a click branches.
const chips = (turn, branch) => {
  const box = make('div', 'fv-chips');
  box.setAttribute('role', 'list');
  box.setAttribute('aria-label', 'Tokens of the answer with their probabilities. Arrow keys move.');
  turn.tokens.forEach((token, index) => {
    const p = Math.exp(token.p);
    const chip = make('button', 'fv-chip' + (token.given ? ' given' : ''), shown(token.t));
    chip.type = 'button'; chip.dataset.index = index;
    chip.style.setProperty('--p', token.given ? 1 : p);
    chip.setAttribute('aria-label', `${token.t || 'part of a character'}: ${token.given ? 'given' : percent(p)}`);
    if (token.t.includes('\n')) { box.append(chip, make('span', 'fv-break')); } else { box.append(chip); }
  });
  const card = make('div', 'fv-card'); card.hidden = true; box.append(card);
  const show = (chip) => {
    const token = turn.tokens[+chip.dataset.index];
    card.replaceChildren();
    card.append(make('div', 'fv-card-title', token.given ? 'given, not chosen by the model' : `token ${+chip.dataset.index + 1}, id ${token.id}`));
    for (const [id, text, logprob] of token.alts) {
      const p = Math.exp(logprob);
      const row = button('fv-alt' + (id === token.id ? ' chosen' : ''), '', id === token.id ? 'The chosen token' : 'Continue the answer from here',
        () => { if (id !== token.id && text) branch(+chip.dataset.index, id); });
      row.tabIndex = id === token.id ? -1 : 0;
      const bar = make('span', 'fv-bar'); bar.style.width = (100 * p).toFixed(1) + '%';
      row.append(bar, make('span', 'fv-alt-text', shown(text)), make('span', 'fv-alt-p', percent(p)));
      card.append(row);
    }
    if (token.alts.length > 1) card.append(make('div', 'fv-card-hint', 'Click an alternative to continue the answer from it.'));
    card.hidden = false;
    const left = Math.min(chip.offsetLeft, Math.max(0, box.clientWidth - card.offsetWidth));
    const scroller = scrollBox(), below = chip.offsetTop + chip.offsetHeight + 2;
    const room = scroller ? scroller.getBoundingClientRect().bottom - chip.getBoundingClientRect().bottom : 999;
    card.style.left = left + 'px';
    card.style.top = (room < card.offsetHeight + 8 && chip.offsetTop > card.offsetHeight ? chip.offsetTop - card.offsetHeight - 4 : below) + 'px';
    if (room < card.offsetHeight + 8 && chip.offsetTop <= card.offsetHeight && scroller) scroller.scrollTop += card.offsetHeight + 12 - room;
  };
  const hide = () => { card.hidden = true; };
  for (const kind of ['mouseover', 'focusin', 'click']) box.addEventListener(kind, (e) => { const chip = e.target.closest('.fv-chip'); if (chip) show(chip); });
  box.addEventListener('mouseleave', () => { if (!box.contains(document.activeElement)) hide(); });
  box.addEventListener('focusout', (e) => { if (!box.contains(e.relatedTarget)) hide(); });
  box.addEventListener('keydown', (e) => {
    const all = [...box.querySelectorAll('.fv-chip')]; const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[e.key];
    if (e.key === 'Escape') { hide(); return; }
    if (e.key === 'ArrowDown' && at >= 0) { const alt = card.querySelector('.fv-alt:not(.chosen)'); if (alt) { alt.focus(); e.preventDefault(); } return; }
    if (to !== undefined && all[to]) { all[to].focus(); e.preventDefault(); }
  });
  return box;
};
