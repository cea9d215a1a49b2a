// An answer's tokens as chips: probability as a bar, visual dependence as a tint. Hover or focus previews, a click pins,
// Shift + click or a drag merges neighbours into a word, arrows move.
const STRONG_NATS = 4; // a dependence from here on has the full tint
const wordChips = (tokens, { preview, pin }) => {
  const node = make('div', 'fv-words-row'),
    box = make('div', 'fv-wchips'),
    line = make('div', 'fv-wline fv-quiet');
  box.setAttribute('role', 'listbox');
  box.setAttribute('aria-multiselectable', 'true');
  box.setAttribute('aria-label', 'Tokens of the answer. Left and right preview, Enter pins, Shift and Enter merges.');
  let pinned = [0],
    anchor = 0,
    dragging = false;
  const facts = (k) => {
    const { t, p, e, m, d } = tokens[k];
    const parts = [
      `\u201c${shown(t)}\u201d`,
      `probability ${percent(Math.exp(p))}`,
      `entropy ${digits(e)} nats`,
      `image attention ${digits(m)}`,
    ];
    if (d !== null) parts.push(`${digits(d)} nats ${d < 0 ? 'less' : 'more'} likely with the picture`.replace(/^\u2212/, ''));
    return parts.join(' \u00b7 ');
  };
  const all = tokens.map((token, k) => {
    const p = Math.exp(token.p),
      chip = make('button', 'fv-wchip', shown(token.t));
    chip.type = 'button';
    chip.dataset.index = k;
    chip.tabIndex = k ? -1 : 0;
    chip.setAttribute('role', 'option');
    chip.style.setProperty('--p', p);
    chip.style.setProperty('--d', token.d === null ? 0 : Math.max(0, Math.min(1, token.d / STRONG_NATS)));
    chip.setAttribute('aria-label', facts(k));
    box.append(chip);
    if (token.t.includes('\n')) box.append(make('span', 'fv-break'));
    return chip;
  });
  const mark = () =>
    all.forEach((chip, k) => {
      chip.classList.toggle('on', pinned.includes(k));
      chip.setAttribute('aria-selected', pinned.includes(k));
    });
  const set = (words, tell = true) => {
    pinned = words;
    mark();
    const text = () =>
      words
        .map((k) => tokens[k].t)
        .join('')
        .trim();
    line.textContent = words.length === 1 ? facts(words[0]) : `${words.length} tokens together: \u201c${text()}\u201d`;
    if (tell) pin(words);
  };
  const span = (a, b) => Array.from({ length: Math.abs(b - a) + 1 }, (_, i) => Math.min(a, b) + i);
  const of = (e) => {
    const chip = e.target.closest && e.target.closest('.fv-wchip');
    return chip ? +chip.dataset.index : -1;
  };
  box.addEventListener('pointerover', (e) => {
    const k = of(e);
    if (k < 0) return;
    if (dragging && k !== anchor) {
      pinned = span(anchor, k);
      mark();
    } else {
      line.textContent = facts(k);
      preview(k);
    }
  });
  box.addEventListener('pointerleave', () => {
    set(pinned, false);
    preview(-1);
  });
  box.addEventListener('pointerdown', (e) => {
    const k = of(e);
    if (k < 0 || e.button !== 0 || e.shiftKey) return;
    const before = pinned;
    anchor = k;
    dragging = e.pointerType !== 'touch';
    if (dragging)
      document.addEventListener(
        'pointerup',
        () => {
          dragging = false;
          if (pinned !== before) set(pinned);
        },
        { once: true },
      );
  });
  box.addEventListener('click', (e) => {
    const k = of(e);
    if (k < 0 || (k !== anchor && !e.shiftKey && e.detail)) return; // the end of a drag
    if (e.shiftKey) set(span(anchor, k));
    else {
      anchor = k;
      set([k]);
    }
  });
  box.addEventListener('focusin', (e) => {
    const k = of(e);
    if (k >= 0) {
      roving(all, k);
      line.textContent = facts(k);
      preview(k);
    }
  });
  box.addEventListener('focusout', (e) => {
    if (!box.contains(e.relatedTarget)) {
      set(pinned, false);
      preview(-1);
    }
  });
  box.addEventListener('keydown', (e) => {
    const k = of(e),
      to = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: all.length - 1 }[e.key];
    if (k >= 0 && all[to]) {
      all[to].focus();
      if (e.shiftKey) set(span(anchor, to));
      e.preventDefault();
    }
  });
  line.setAttribute('role', 'status');
  const tint = tokens.some((t) => t.d !== null) ? ' Tint: how much likelier with the picture than without it.' : '';
  const legend = make('div', 'fv-legend', `Bar: probability, 0 to 100 %.${tint} Shift + click or a drag puts tokens together.`);
  node.append(box, line, legend);
  mark();
  return {
    node,
    set,
    get pinned() {
      return pinned;
    },
  };
};
