// One sentence, or nothing.
const build = () => {
  element.querySelector('.fv-error, .fv-note').textContent = props.value || '';
};
watch('value', build);
build();
