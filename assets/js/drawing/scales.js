// Numbers as colours and as words.
//
//   floats(base64)                              -> Float32Array, as `_overlay.py` packs it
//   digits(number)                              -> text as it is read: three digits, no noise
//   scaleOf([scores, ...], how, signed)         -> {low, high, text}; how is 'linear' or 'percentile'; several maps share one scale
//   tableOf(signed, opacity)                    -> 256 colours as pixels of a canvas
//   colourBar({scale, signed, unit, opacity})   -> node; node.at(value) moves its marker, null hides it
const VIRIDIS = ['440154', '472d7b', '3b528b', '2c728e', '21918c', '28ae80', '5ec962', 'addc30', 'fde725'];
const DIVERGING = ['0b4f8a', '2f7fbf', '7fb3dc', 'c9dff0', 'f4f4f2', 'fbdcb8', 'f2a65a', 'd9731a', '9a4300'];
const ramp = (stops) =>
  Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1),
      k = Math.min(stops.length - 2, Math.floor(at)),
      part = at - k;
    return [0, 2, 4].map((c) =>
      Math.round(parseInt(stops[k].slice(c, c + 2), 16) * (1 - part) + parseInt(stops[k + 1].slice(c, c + 2), 16) * part),
    );
  });
const RAMPS = [ramp(VIRIDIS), ramp(DIVERGING)];
const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
// A number as it is read: three digits, no noise.
const digits = (v) => {
  if (!Number.isFinite(v)) return '\u2013';
  const size = Math.abs(v);
  const text =
    size === 0
      ? '0'
      : size >= 1000 || size < 0.0001
        ? v.toExponential(1)
        : size >= 100
          ? v.toFixed(0)
          : v.toPrecision(size >= 0.001 ? 3 : 2);
  return text.replace(/^(-?)0\./, '$1.').replace('-', '\u2212');
};
const scaleOf = (maps, how, signed) => {
  const all = [];
  for (const map of maps) for (const v of map) if (Number.isFinite(v)) all.push(v);
  if (!all.length) return { low: 0, high: 1, text: 'nothing to show' };
  const many = maps.length > 1 ? `, one scale for ${maps.length} maps` : '';
  if (signed) {
    const sizes = all.map(Math.abs).sort((a, b) => a - b),
      top = how === 'percentile' ? sizes[Math.floor(0.99 * (sizes.length - 1))] : sizes[sizes.length - 1];
    return {
      low: -(top || 1),
      high: top || 1,
      text: (how === 'percentile' ? 'linear about 0, cut at the 99th percentile' : 'linear about 0') + many,
    };
  }
  all.sort((a, b) => a - b);
  if (how !== 'percentile') return { low: Math.min(0, all[0]), high: all[all.length - 1] || 1, text: 'linear from 0' + many };
  const at = (share) => all[Math.round(share * (all.length - 1))],
    low = at(0.01),
    high = at(0.99);
  return { low, high: high > low ? high : low + (Math.abs(low) || 1), text: 'linear, 1st to 99th percentile' + many };
};
// Little is drawn thinly, so that the picture is seen where nothing was found: a fifth of the opacity at zero, all at the ends.
const alphaOf = (signed, at, opacity) =>
  Math.round(255 * opacity * (0.2 + 0.8 * (signed ? Math.abs(at - 127.5) / 127.5 : at / 255)));
const tableOf = (signed, opacity) =>
  Uint32Array.from(
    RAMPS[signed ? 1 : 0],
    ([r, g, b], i) => ((alphaOf(signed, i, opacity) << 24) | (b << 16) | (g << 8) | r) >>> 0,
  );
const colourBar = ({ scale, signed, unit, opacity = 1 }) => {
  const node = make('div', 'fv-scale'),
    strip = make('canvas', 'fv-scale-strip'),
    marker = make('span', 'fv-scale-at'),
    ends = make('div', 'fv-scale-ends');
  strip.width = 256;
  strip.height = 1;
  strip.style.opacity = opacity;
  marker.hidden = true;
  const pen = strip.getContext('2d'),
    image = pen.createImageData(256, 1);
  RAMPS[signed ? 1 : 0].forEach((colour, i) => image.data.set([...colour, 255], 4 * i));
  pen.putImageData(image, 0, 0);
  ends.append(make('span', '', digits(scale.low)), make('span', 'fv-scale-unit', unit), make('span', '', digits(scale.high)));
  const box = make('div', 'fv-scale-box');
  box.append(strip, marker);
  node.append(box, ends, make('div', 'fv-scale-how', scale.text));
  node.setAttribute('role', 'img');
  node.setAttribute('aria-label', `Colours from ${digits(scale.low)} to ${digits(scale.high)} ${unit}, ${scale.text}`);
  node.at = (v) => {
    marker.hidden = v === null || !Number.isFinite(v);
    if (!marker.hidden) marker.style.left = 100 * Math.max(0, Math.min(1, (v - scale.low) / (scale.high - scale.low))) + '%';
  };
  return node;
};
