// How many texts of the page are judged, and those that WCAG AA finds too faint. For `browser_kit.faint`.
() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number),
      unit = text.startsWith('color(') ? 255 : 1;
    return [r * unit, g * unit, b * unit, a];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const light = ([r, g, b]) =>
    [r, g, b]
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
      .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const grounds = (node) => {
    const layers = [];
    for (; node; node = node.parentElement) {
      const style = getComputedStyle(node);
      if (style.backgroundImage !== 'none') return null;
      const colour = parse(style.backgroundColor);
      layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const judge = (node, text, style) => {
    const ground = grounds(node);
    if (!ground) return;
    const size = parseFloat(style.fontSize),
      large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const found = contrast(over(parse(style.color), ground), ground);
    if (found >= (large ? 3 : 4.5)) return;
    faint.push(`${found.toFixed(2)} ${style.color} on ${ground.slice(0, 3).map(Math.round)}: ${text.trim().slice(0, 40)}`);
  };
  const faint = [],
    walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let judged = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode,
      node = text.parentElement;
    if (!text.data.trim() || node.closest('script, style, noscript, svg, option, :disabled, .fv-heard')) continue;
    if (!node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    judged += 1;
    judge(node, text.data, getComputedStyle(node));
  }
  for (const node of document.querySelectorAll('input[placeholder], textarea[placeholder]')) {
    if (!node.placeholder || node.value || !node.checkVisibility()) continue;
    judge(node, node.placeholder, getComputedStyle(node, '::placeholder'));
  }
  return [judged, faint];
};
