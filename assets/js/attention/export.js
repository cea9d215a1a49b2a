// The maps that are shown as files.
const exported = async (kind) => {
  const got = await quest('export', question('export'), 'Preparing the file', p.busy);
  if (got.error || got.stopped) {
    trouble(got.error || 'Stopped.');
    return;
  }
  const { checkpoint, question: asked, tokens } = view,
    maps = () => (p.pair.hidden ? [[p.heat, p.heat.now]] : p.three.map(({ heat }) => [heat, heat.now])),
    about = { checkpoint, question: asked, words: tokens.map((one) => one.t), maps };
  const wrong = await saveMaps(kind, { name: got.name, numbers: got.npz, page: got.page }, about);
  if (wrong) trouble(wrong);
};
