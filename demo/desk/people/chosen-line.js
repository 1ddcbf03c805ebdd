/* The chosen line: the one that corrections, marks, notes, sharing and redaction apply to.
 *
 * A click chooses a line, so do the keys for the next and the previous one, and a line that plays is chosen, too. Rows are
 * drawn again often, so `mark()` puts the sign of the choice on whatever node shows the line now. Emits "chosen".
 */

export class ChosenLine extends EventTarget {
  #segment = "";
  #other = null; // a hit of the search, which the model may not have

  /** model: the DeskModel; root: the element with all texts; focused(): id of the channel in focus; inLog(): whether the
   *  text of all channels is on screen. */
  constructor({ model, root, focused, inLog }) {
    super();
    Object.assign(this, { model, root, focused, inLog });
    root.addEventListener("click", (event) => this.#onClick(event));
  }

  /** The chosen line as the model has it now, or null. */
  get line() {
    return this.model.transcript.lines.findLast((line) => line.segment === this.#segment) ?? this.#other;
  }

  /** What was chosen, as it was then: a line, or a hit of the search. */
  get hit() {
    return this.#other;
  }

  /** The chosen line; without a choice the newest line of the channel in focus, which is then chosen. */
  orNewest() {
    if (!this.line) this.choose(this.#lines().at(-1) ?? null);
    return this.line;
  }

  choose(line) {
    this.#segment = line?.segment ?? "";
    this.#other = line;
    this.mark();
    this.dispatchEvent(new Event("chosen"));
  }

  /** Choose the line `step` lines after the chosen one. Returns false if there is none. */
  step(step) {
    const lines = this.#lines();
    if (!lines.length) return false;
    const at = lines.findIndex((line) => line.segment === this.#segment);
    this.choose(lines[at < 0 ? lines.length - 1 : Math.max(0, Math.min(lines.length - 1, at + step))]);
    this.node()?.scrollIntoView({ block: "nearest" });
    return true;
  }

  /** The node on screen that shows the chosen line, or null. */
  node() {
    if (!this.#segment) return null;
    const nodes = [...this.root.querySelectorAll(`[data-segment="${CSS.escape(this.#segment)}"]`)];
    return nodes.find((node) => node.offsetParent !== null) ?? null;
  }

  mark() {
    const node = this.node();
    for (const old of this.root.querySelectorAll(".segment.chosen")) if (old !== node) old.classList.remove("chosen");
    node?.classList.add("chosen");
  }

  /** The lines that the keys step through: of all channels in the merged text, else of the channel in focus. */
  #lines() {
    return this.inLog() ? this.model.transcript.lines : this.model.channel(this.focused()).lines;
  }

  #onClick(event) {
    const { segment } = event.target.closest(".line .segment[data-segment]")?.dataset ?? {};
    const line = segment && this.model.transcript.lines.findLast((one) => one.segment === segment);
    if (line) this.choose(line);
  }
}
