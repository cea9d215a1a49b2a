// Thumbnails to choose from. Events: pick {index}, film {}.
const build = () => {
  const value = props.value,
    root = one('.fv-scenes');
  root.replaceChildren();
  if (!value) return;
  value.items.forEach((item, index) => {
    const pick = button('fv-thumb', '', item.title, () => (item.film ? trigger('film', {}) : trigger('pick', { index })));
    const img = make('img');
    img.src = item.url;
    img.alt = '';
    img.loading = 'lazy';
    pick.append(img);
    if (item.film) pick.append(make('span', 'fv-thumb-film', 'film'));
    root.append(pick);
  });
};
watch('value', build);
build();
// 'pick' 'film'
