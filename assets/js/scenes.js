// Thumbnails to choose from. Event: pick {index}.
const build = () => {
  const value = props.value, root = one('.fv-scenes'); root.replaceChildren(); if (!value) return;
  value.items.forEach((item, index) => {
    const pick = button('fv-thumb', '', item.title, () => trigger('pick', { index }));
    const img = make('img'); img.src = item.url; img.alt = ''; img.loading = 'lazy'; pick.append(img); root.append(pick);
  });
};
watch('value', build); build();
// 'pick'
