/* Places in a text. JavaScript counts UTF-16 units, answers count Unicode code points: an emoji beyond the first plane is
   two of the former and one of the latter. */

/* `toPoint(unit)` and `toUnit(point)` for one text. A unit in the middle of a pair counts as behind it. */
export function countPoints(text) {
  if (!/[\ud800-\udfff]/.test(text)) return { n: text.length, toPoint: (unit) => unit, toUnit: (point) => point };
  const before = new Uint32Array(text.length + 1); // code points that begin before this unit
  const units = [];
  for (let unit = 0, next = 0; unit < text.length; unit += 1) {
    before[unit] = units.length;
    if (unit < next) continue; // the second of a pair
    units.push(unit);
    next = unit + (text.codePointAt(unit) > 0xffff ? 2 : 1);
  }
  before[text.length] = units.length;
  units.push(text.length);
  return { n: units.length - 1, toPoint: (unit) => before[unit], toUnit: (point) => units[point] };
}
