// One sentence, or nothing.
const build = () => { one('.fv-error').textContent = props.value || ''; };
watch('value', build); build();
