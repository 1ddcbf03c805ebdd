/* Fits the text of the tiles to their size: all tiles of the wall are equal, so one is measured.
 *
 * Sets --tile-text (its size) and the classes `short` and `narrow` on the wall. Container queries would do the
 * same, but then the browser computes the styles of each tile again in every frame in which a text changes.
 */

const LINE_PX = [14, 21];
const LINE_OF_WIDTH = 0.036;
const SHORT_PX = 164; // too low for the row of figures
const NARROW_PX = 330; // too narrow for the time since the newest speech

let observer = null;

/** tile: the first tile of the wall; further calls change nothing. */
export function fitTiles(tile) {
  if (observer) return;
  observer = new ResizeObserver(([{ contentRect }]) => fit(tile.parentElement, contentRect));
  observer.observe(tile);
}

function fit(wall, { width, height }) {
  if (!wall || width === 0) return; // another view is shown
  const [least, most] = LINE_PX;
  wall.style.setProperty("--tile-text", `${Math.max(least, Math.min(most, width * LINE_OF_WIDTH)).toFixed(1)}px`);
  wall.classList.toggle("short", height <= SHORT_PX);
  wall.classList.toggle("narrow", width <= NARROW_PX);
}
