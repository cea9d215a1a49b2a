// What the server tells of work it was asked for, handed on to the component that asked.
const build = () => { const value = props.value; if (value) document.querySelector('.fv-attention')?.dispatchEvent(new CustomEvent('fv-reply', { detail: value })); };
watch('value', build);
