// What reaches over an edge of the window and cannot be scrolled into view where it stands. For `browser_kit.wide`.
() => {
  const page = document.querySelector('.gradio-container');
  const held = (node) => {
    // inside something narrower that scrolls or cuts it off by itself
    for (let box = node.parentElement; box && box !== page && box !== document.body; box = box.parentElement) {
      if (getComputedStyle(box).overflowX === 'visible') continue;
      const { left, right } = box.getBoundingClientRect();
      if (left >= -1 && right <= innerWidth + 1) return true;
    }
    return false;
  };
  const whole = document.documentElement.scrollWidth,
    found = whole > innerWidth ? [`the page is ${whole} px wide`] : [];
  for (const node of document.body.querySelectorAll('*')) {
    const { left, right, width, height } = node.getBoundingClientRect();
    if (!width || !height || (left >= -1 && right <= innerWidth + 1) || node.closest('svg, .fv-heard')) continue;
    if (!node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || held(node)) continue;
    const place = `from ${Math.round(left)} to ${Math.round(right)} px`;
    found.push(`${node.tagName}.${node.className} ${place}: ${node.innerText?.trim().slice(0, 40)}`);
  }
  return found;
};
