/* Two fingers on the timeline: apart for a shorter range, together for a longer one; moved sideways, the range moves. */

const NEAR_PX = 24; // fingers that are closer count as so far apart, or the range would jump

export class Pinch {
  #fingers = new Map(); // pointer id -> {x, y}
  #begun = null; // {spread, lengthMs, ms}: when the second finger came; ms: the moment between the fingers

  /** view: DeskTimeline; onBegin(): what one finger had begun is dropped. */
  constructor(view, onBegin) {
    Object.assign(this, { view, onBegin });
    const { picture } = view;
    picture.addEventListener("pointerdown", (event) => this.#onDown(event));
    picture.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) picture.addEventListener(end, (event) => this.#onEnd(event));
  }

  get isOn() {
    return this.#begun !== null;
  }

  #onDown({ pointerType, pointerId, clientX, clientY }) {
    if (pointerType !== "touch") return;
    this.#fingers.set(pointerId, { x: clientX, y: clientY });
    if (this.#fingers.size !== 2) return void (this.#begun = null); // a third finger ends it
    const { spread, share } = this.#place();
    const { fromMs, lengthMs } = this.view.range;
    this.#begun = { spread, lengthMs, ms: fromMs + share * lengthMs };
    this.onBegin();
  }

  #onMove({ pointerId, clientX, clientY }) {
    if (!this.#fingers.has(pointerId)) return;
    this.#fingers.set(pointerId, { x: clientX, y: clientY });
    if (!this.#begun) return;
    const { spread, share } = this.#place();
    this.view.showAround(this.#begun.ms, share, (this.#begun.lengthMs * this.#begun.spread) / spread);
  }

  #onEnd({ pointerId }) {
    if (this.#fingers.delete(pointerId)) this.#begun = null;
  }

  /** How far apart the fingers are in pixels, and where their middle is: 0 is the left side, 1 the right one. */
  #place() {
    const [a, b] = [...this.#fingers.values()];
    const box = this.view.picture.getBoundingClientRect();
    return { spread: Math.max(NEAR_PX, Math.hypot(a.x - b.x, a.y - b.y)), share: ((a.x + b.x) / 2 - box.left) / box.width };
  }
}
