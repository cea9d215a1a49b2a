// The vote on a comparison: which was better, a tie, or all bad; reasons as tags. Names stay hidden in blind mode until it is cast.
const votePart = (value, vote, reveal) => {
  const { can, outcome, tags, why } = value.vote,
    many = value.columns.length,
    chosen = new Set(value.vote.reasons),
    begun = performance.now();
  if (why) return part('Vote', make('p', 'fv-quiet', why));
  const bar = make('div', 'fv-actions fv-versus-vote'),
    reasons = make('div', 'fv-actions'),
    all = [
      ...value.columns.map(({ letter }) => [letter, `${letter} is better`]),
      ['tie', 'Tie'],
      ['bad', many === 2 ? 'Both are bad' : 'All are bad'],
    ];
  for (const [name, text] of all) {
    const node = button('fv-mini fv-choice' + (outcome === name ? ' on' : ''), text, '', () => {
      for (const other of bar.querySelectorAll('button')) other.disabled = true;
      vote({ outcome: name, reasons: [...chosen], waited_ms: Math.round(performance.now() - begun) });
    });
    node.disabled = !can;
    node.dataset.outcome = name;
    node.setAttribute('aria-pressed', outcome === name);
    bar.append(node);
  }
  for (const tag of tags) {
    const node = button('fv-mini' + (chosen.has(tag) ? ' on' : ''), tag, 'A reason, counted with the vote', () => {
      chosen.has(tag) ? chosen.delete(tag) : chosen.add(tag);
      node.classList.toggle('on', chosen.has(tag));
      node.setAttribute('aria-pressed', chosen.has(tag));
    });
    node.disabled = !can;
    node.setAttribute('aria-pressed', chosen.has(tag));
    reasons.append(node);
  }
  const line = outcome
    ? `Counted: ${(all.find(([name]) => name === outcome) || ['', outcome])[1]}${value.blind ? ', blind' : ''}.`
    : value.sealed
      ? 'The sides are shuffled: these letters are not those of the columns above. The names show when you have voted; choose reasons first, if you like.'
      : 'Choose reasons first, if you like; the last vote counts.';
  const box = part('Vote', bar, reasons, make('p', 'fv-quiet', line));
  if (value.sealed) {
    const skip = button('fv-mini', 'Reveal without a vote', 'Show the names; a vote after that is not a blind one', () =>
      reveal({}),
    );
    box.append(skip);
  }
  return box;
};
