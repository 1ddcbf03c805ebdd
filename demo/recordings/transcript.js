/* The text of one recording: its events from the beginning, then new ones as they come.
 *
 * Owns the stream of events and the lines. A line is in the order of its time: two speakers are transcribed side by side.
 * Each word knows its time, so that playback can mark it.
 */

import { streamAddress } from "../api.js";
import { t } from "../i18n.js";
import { labelText } from "./labels.js";
import { shortTime } from "./times.js";

const ENDS = ["completed", "failed", "cancelled"];

export class Transcript extends EventTarget {
  lines = []; // {channel, start_ms, end_ms, node, words: [{start_ms, end_ms, node}]}, by time
  #stream = null;
  #isGrowing = false; // its text follows; that of a finished recording is read from the beginning
  #labels = new Map();
  #marked = [];

  /** Emits "started" (detail: channels), "progress", "ended" (detail: the state) and "play" (detail: {channel, ms}). */
  constructor(box) {
    super();
    this.box = box;
    box.addEventListener("click", (event) => this.#pressed(event.target));
  }

  open(job) {
    this.close();
    this.job = job;
    this.lines = [];
    this.#labels = new Map();
    this.#isGrowing = ["queued", "running"].includes(job.state);
    this.#note(this.#isGrowing ? "rec.textFollows" : "rec.noText");
    const stream = new EventSource(streamAddress(`api/jobs/${job.job}/events`));
    this.#stream = stream;
    const on = (name, act) => stream.addEventListener(name, (event) => stream === this.#stream && act(JSON.parse(event.data)));
    on("started", (data) => {
      for (const { channel, label } of data.channels) this.#labels.set(channel, label);
      this.box.classList.toggle("many", data.channels.length > 1);
      this.dispatchEvent(new CustomEvent("started", { detail: data }));
    });
    on("transcript_segment", (data) => this.#add(data));
    on("progress", (data) => this.dispatchEvent(new CustomEvent("progress", { detail: data })));
    for (const state of ENDS) {
      on(state, (data) => {
        this.close(); // otherwise the browser connects again
        if (!this.lines.length) this.#note(data.session ? "rec.noText" : "rec.gone");
        this.dispatchEvent(new CustomEvent("ended", { detail: { ...data, state } }));
      });
    }
  }

  close() {
    this.#stream?.close();
    this.#stream = null;
  }

  /** Mark the word that is heard at this time of a channel; null: none. */
  mark(channel, ms) {
    for (const node of this.#marked) node.classList.remove("heard");
    this.#marked = [];
    if (ms === null) return;
    const line = this.lines.find((one) => one.channel === channel && one.start_ms <= ms && ms < one.end_ms);
    if (!line) return;
    const word = line.words.findLast((one) => one.start_ms <= ms) ?? line.words[0];
    this.#marked = [line.node, ...(word ? [word.node] : [])];
    for (const node of this.#marked) node.classList.add("heard");
    this.#keepInView(line.node);
  }

  /** Bring a line into view, with the focus on its time. */
  show(segment) {
    const line = this.lines.find((one) => one.segment === segment);
    if (!line) return;
    this.#keepInView(line.node);
    line.node.querySelector(".time").focus({ preventScroll: true });
  }

  #keepInView(node) {
    const [box, line] = [this.box.getBoundingClientRect(), node.getBoundingClientRect()];
    if (line.bottom > box.bottom || line.top < box.top) {
      this.box.scrollTop += line.top - box.top - box.height / 3;
    }
  }

  #note(key) {
    const note = document.createElement("p");
    note.className = "none";
    note.dataset.i18n = key;
    note.textContent = t(key);
    this.box.replaceChildren(note);
  }

  #add(segment) {
    if (!this.lines.length) this.box.replaceChildren();
    const line = { ...segment, ...this.#drawn(segment) };
    const at = this.lines.findLastIndex((one) => one.start_ms <= segment.start_ms) + 1;
    const isAtEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 60;
    this.box.insertBefore(line.node, this.lines[at]?.node ?? null);
    this.lines.splice(at, 0, line);
    if (isAtEnd && at === this.lines.length - 1 && this.#isGrowing) this.box.scrollTop = this.box.scrollHeight;
  }

  #drawn(segment) {
    const node = document.createElement("div");
    node.className = "part";
    const time = document.createElement("button");
    time.type = "button";
    time.className = "time";
    time.textContent = shortTime(segment.start_ms);
    time.setAttribute("aria-label", t("rec.playFrom", { time: time.textContent }));
    const who = document.createElement("span");
    who.className = "who";
    who.textContent = labelText(this.#labels.get(segment.channel) ?? segment.channel);
    const text = document.createElement("p");
    text.lang = segment.language ?? "";
    const words = wordsOf(segment).map((word) => ({ ...word, node: spanOf(word.text.trim()) }));
    if (words.length) text.append(...words.flatMap((word, n) => (n ? [" ", word.node] : [word.node])));
    else text.textContent = segment.text;
    node.append(time, who, text);
    return { node, words };
  }

  #pressed(target) {
    const line = this.lines.find((one) => one.node.contains(target));
    if (!line || getSelection()?.toString()) return;
    const word = line.words.find((one) => one.node === target);
    if (!word && !target.classList.contains("time")) return;
    this.dispatchEvent(new CustomEvent("play", { detail: { channel: line.channel, ms: (word ?? line).start_ms } }));
  }
}

function spanOf(text) {
  const span = document.createElement("span");
  span.textContent = text;
  return span;
}

/** The words with their times, if they are the text: a correction of the glossary can make them differ. */
function wordsOf(segment) {
  const words = segment.words ?? [];
  const bare = (text) => text.replace(/\s+/g, "");
  return bare(words.map((word) => word.text).join("")) === bare(segment.text) ? words : [];
}
