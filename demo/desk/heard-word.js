/* Marks the word that is heard in a replay: in the player, and wherever its line is on screen.
 *
 * Draws with the Custom Highlight API (::highlight(heard) in desk.css), so no text on the page is changed. A browser without
 * it shows no mark. Words that a correction removed have no place in the text and are not marked.
 */

const NAME = "heard";

export class HeardWord {
  #line = null;
  #words = []; // {from, to, startMs}; from, to: in the text of the line
  #at = -1;
  #willDraw = false;

  /** listening: a Listening; root: the element with all texts; shown: what shows the text of the line that plays. */
  constructor({ listening, root, shown }) {
    Object.assign(this, { listening, root, shown });
    if (!globalThis.CSS?.highlights) return;
    listening.addEventListener("change", () => this.#follow());
  }

  #follow() {
    if (this.#willDraw) return;
    this.#willDraw = true;
    requestAnimationFrame(() => {
      this.#willDraw = false;
      this.#draw();
      if (!this.listening.audio.paused && this.listening.line) this.#follow();
    });
  }

  #draw() {
    const { line, place } = this.listening;
    if (line !== this.#line) {
      [this.#line, this.#words, this.#at] = [line, line ? wordsOf(line) : [], -1];
      CSS.highlights.delete(NAME);
    }
    const at = place ? this.#words.findLastIndex(({ startMs }) => startMs <= place.ms) : -1;
    if (at === this.#at) return;
    this.#at = at;
    const ranges = at < 0 ? [] : this.#nodes().map((node) => rangeIn(node, this.#words[at])).filter(Boolean);
    if (ranges.length) CSS.highlights.set(NAME, new Highlight(...ranges));
    else CSS.highlights.delete(NAME);
  }

  #nodes() {
    const { segment } = this.#line;
    return [this.shown, ...(segment ? this.root.querySelectorAll(`[data-segment="${CSS.escape(segment)}"]`) : [])];
  }
}

/** The words of a line with their times, and where they stand in its text. */
function wordsOf(line) {
  const found = [];
  let at = 0;
  for (const { text = "", start_ms: startMs } of line.words ?? []) {
    const word = text.trim();
    const from = word && Number.isFinite(startMs) ? line.text.indexOf(word, at) : -1;
    if (from < 0) continue;
    at = from + word.length;
    found.push({ from, to: at, startMs });
  }
  return found;
}

/** A part of the text of a node as a Range, or null if the text is shorter. */
function rangeIn(node, { from, to }) {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const range = new Range();
  let before = 0;
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const end = before + text.length;
    if (from >= before && from < end) range.setStart(text, from - before);
    if (to > before && to <= end) return range.setEnd(text, to - before), range;
    before = end;
  }
  return null;
}
