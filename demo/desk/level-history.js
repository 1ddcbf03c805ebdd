/* The levels of a channel in the last minute, for its wave: one peak for each tenth of a second. LevelHistory is pure. */

export const STEPS = 600;
const STEP_MS = 100;
const SILENCE_DB = -90;

export class LevelHistory {
  #peaks = new Float32Array(STEPS).fill(SILENCE_DB);
  #newest = 0; // number of the newest step since 1970

  /** peakDb: of a level that came at nowMs. Steps without a level are silence. */
  note(peakDb, nowMs) {
    const step = Math.floor(nowMs / STEP_MS);
    this.#forward(step);
    const at = step % STEPS;
    this.#peaks[at] = Math.max(this.#peaks[at], peakDb);
  }

  /** The peaks in dB, oldest first; the last one is that of nowMs. */
  peaks(nowMs) {
    this.#forward(Math.floor(nowMs / STEP_MS));
    const at = (this.#newest + 1) % STEPS;
    return [...this.#peaks.subarray(at), ...this.#peaks.subarray(0, at)];
  }

  #forward(step) {
    for (let next = Math.max(this.#newest + 1, step - STEPS + 1); next <= step; next += 1) this.#peaks[next % STEPS] = SILENCE_DB;
    this.#newest = Math.max(this.#newest, step);
  }
}

/** Draw the wave of a channel: a bar for each step, mirrored. */
export function drawWave(canvas, peaks, colour) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = colour;
  const step = width / peaks.length;
  peaks.forEach((db, n) => {
    const share = Math.max(0, Math.min(1, (db + 60) / 60)); // -60 dB and less is a line
    const tall = Math.max(ratio, share * height);
    pen.fillRect(n * step, (height - tall) / 2, Math.max(1, step * 0.8), tall);
  });
}
