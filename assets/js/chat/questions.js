// Questions to start with, as chips. Event: ask {text}.
const build = () => {
  const value = props.value,
    root = one('.fv-questions');
  root.replaceChildren();
  if (!value) return;
  for (const text of value.items) root.append(button('fv-chipq', text, 'Ask this', () => trigger('ask', { text })));
};
watch('value', build);
build();
// 'ask'
