// The maps that are shown as files.
const exported = async (kind) => {
  const got = await quest('export', question('export'), 'Preparing the file', p.busy);
  if (got.error || got.stopped) {
    trouble(got.error || 'Stopped.');
    return;
  }
  if (kind === 'npz') {
    saveNumbers(got.npz, got.name);
    return;
  }
  if (kind === 'md') {
    saveFile(got.page, 'text/markdown', `${got.name}.md`);
    return;
  }
  const about = `${view.checkpoint}. ${view.question.slice(0, 200)} \u2192 ${view.tokens
    .map((t) => t.t)
    .join('')
    .trim()
    .slice(0, 200)}`;
  const maps = p.pair.hidden ? [[p.heat, p.heat.now]] : p.three.map(({ heat }) => [heat, heat.now]);
  try {
    await saveFigure(kind, figureOf(about, maps), got.name);
  } catch {
    trouble('The picture could not be made here. Take the SVG.');
  }
};
