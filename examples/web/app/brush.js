/** Strokes of a brush, drawn into a mask of any size. */

/** @typedef {import("../harmonize/harmonize.js").Mask} Mask */
/**
 * A line through points, with round ends; in pixels of the mask.
 * @typedef {{ erase: boolean, radius: number, points: [number, number][] }} Stroke
 */

/**
 * Draw strokes in their order. Edges are soft over one pixel.
 * @param {Mask} mask is left alone
 * @param {Stroke[]} strokes
 * @returns {Mask}
 */
export function withStrokes(mask, strokes) {
  const drawn = { ...mask, data: new Uint8Array(mask.data) };
  for (const { erase, radius, points } of strokes)
    points.forEach((point, k) => drawSegment(drawn, points[Math.max(k - 1, 0)], point, radius, erase));
  return drawn;
}

function drawSegment({ width, height, data }, [x0, y0], [x1, y1], radius, erase) {
  const reach = radius + 1;
  const [left, right] = [Math.max(0, Math.floor(Math.min(x0, x1) - reach)), Math.min(width, Math.ceil(Math.max(x0, x1) + reach))];
  const [top, bottom] = [Math.max(0, Math.floor(Math.min(y0, y1) - reach)), Math.min(height, Math.ceil(Math.max(y0, y1) + reach))];
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  for (let y = top; y < bottom; y++)
    for (let x = left; x < right; x++) {
      const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
      const along = length ? Math.min(Math.max((px * dx + py * dy) / length, 0), 1) : 0;
      const distance = Math.hypot(px - along * dx, py - along * dy);
      const level = Math.round(255 * Math.min(Math.max(radius + 0.5 - distance, 0), 1));
      const at = y * width + x;
      data[at] = erase ? Math.min(data[at], 255 - level) : Math.max(data[at], level);
    }
}
