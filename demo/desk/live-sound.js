/* The sound settings: one row for each channel, like a small mixing desk, and the choices for all channels. */

import { language, t } from "../i18n.js";
import { $ } from "../page.js";
import { MODES, PRIORITIES, SOLO_OTHERS, STICKY_S_MAX, UNTIL_RELEASED, VOLUME_MAX } from "./live-settings.js";
import { setText } from "./parts.js";

const AVOIDANCES = ["no", "30", "60", "120", "released"];
const COLUMNS = ["channel", "volume", "pan", "mute", "solo", "priority", "avoid"];

export class LiveSound {
  #rows = new Map(); // channel -> its controls

  constructor(live) {
    this.live = live;
    const { settings } = live;
    $("sound-close").addEventListener("click", () => $("sound").close());
    $("sound-mute-all").addEventListener("click", () => live.toggleMuteAll());
    $("sound-mode").addEventListener("change", ({ target }) => settings.setAll({ mode: target.value }));
    $("sound-solo").addEventListener("change", ({ target }) => settings.setAll({ soloOthers: target.value }));
    $("sound-sticky").addEventListener("input", ({ target }) => settings.setAll({ stickyS: Number(target.value) }));
    $("sound-ducking").addEventListener("change", ({ target }) => settings.setAll({ isDucking: target.checked }));
    $("sound-sticky").max = STICKY_S_MAX;
    live.addEventListener("change", () => $("sound").open && this.draw());
    language.addEventListener("language", () => {
      this.#rows.clear();
      if ($("sound").open) this.draw();
    });
  }

  open() {
    this.draw();
    $("sound").showModal();
  }

  draw() {
    const { live } = this;
    const { all } = live.settings;
    if (this.#rows.size !== live.model.channels.size) this.#build();
    setText($("sound-mute-all"), t(live.isAllMuted ? "live.sound.unmuteAll" : "live.sound.muteAll"));
    $("sound-mode").value = all.mode;
    $("sound-solo").value = all.soloOthers;
    $("sound-ducking").checked = all.isDucking;
    if (document.activeElement !== $("sound-sticky")) $("sound-sticky").value = all.stickyS;
    setText($("sound-sticky-value"), t("live.sticky.seconds", { n: all.stickyS.toFixed(1) }));
    for (const [id, controls] of this.#rows) this.#drawRow(id, controls);
  }

  #build() {
    fill($("sound-mode"), MODES, "live.mode.");
    fill($("sound-solo"), SOLO_OTHERS, "live.soloOthers.");
    $("sound-head").replaceChildren(...COLUMNS.map((name) => heading(t(`live.column.${name}`))));
    this.#rows.clear();
    const rows = [...this.live.model.channels.keys()].map((id) => this.#row(id));
    $("sound-rows").replaceChildren(...rows);
  }

  #row(id) {
    const { live } = this;
    const { settings } = live;
    const named = (name, control) => {
      control.setAttribute("aria-label", `${id} ${t(`live.column.${name}`)}`);
      return control;
    };
    const range = (name, min, max, key) => {
      const control = named(name, document.createElement("input"));
      Object.assign(control, { type: "range", min, max, step: 0.05 });
      control.addEventListener("input", () => settings.set(id, { [key]: Number(control.value) }));
      return control;
    };
    const toggle = (name, act) => {
      const control = named(name, document.createElement("button"));
      Object.assign(control, { type: "button", className: "quiet" });
      control.addEventListener("click", act);
      return control;
    };
    const controls = {
      name: document.createElement("span"),
      volume: range("volume", 0, VOLUME_MAX, "volume"),
      pan: range("pan", -1, 1, "pan"),
      mute: toggle("mute", () => live.toggleMute(id)),
      solo: toggle("solo", () => live.toggleSolo(id)),
      priority: fill(named("priority", document.createElement("select")), PRIORITIES, "live.priority."),
      avoid: fill(named("avoid", document.createElement("select")), AVOIDANCES, "live.avoid."),
      until: document.createElement("small"),
    };
    controls.priority.addEventListener("change", ({ target }) => settings.set(id, { priority: target.value }));
    controls.avoid.addEventListener("change", ({ target }) => this.#avoid(id, target.value));
    this.#rows.set(id, controls);
    const head = heading("", "row");
    head.append(Object.assign(document.createElement("b"), { textContent: id }), " ", controls.name);
    const cells = ["volume", "pan", "mute", "solo", "priority"].map((name) => cell(name, controls[name]));
    const row = document.createElement("tr");
    row.append(head, ...cells, cell("avoid", controls.avoid, controls.until));
    return row;
  }

  #avoid(id, value) {
    this.live.avoid(id, value === UNTIL_RELEASED ? value : Number(value === "no" ? 0 : value));
  }

  #drawRow(id, controls) {
    const { live } = this;
    const one = live.settings.of(id);
    setText(controls.name, live.model.channel(id).name);
    for (const name of ["volume", "pan"]) if (document.activeElement !== controls[name]) controls[name].value = one[name];
    for (const [name, isPressed] of [["mute", one.isMuted], ["solo", one.isSolo]]) {
      setText(controls[name], t(`live.column.${name}`));
      controls[name].setAttribute("aria-pressed", String(isPressed));
    }
    controls.priority.value = one.priority;
    const isAvoided = live.settings.isAvoided(id, Date.now());
    const isReleased = one.avoidedUntil === UNTIL_RELEASED;
    if (document.activeElement !== controls.avoid || !isAvoided) controls.avoid.value = isAvoided ? (isReleased ? "released" : kept(controls.avoid)) : "no";
    const time = isAvoided && !isReleased ? new Date(one.avoidedUntil).toLocaleTimeString("en-GB", { timeStyle: "short" }) : "";
    setText(controls.until, time ? t("live.avoidedUntil", { time }) : "");
  }
}

/** A time that was chosen stays chosen; after a reload, the smallest time stands for it and the end is written beside. */
function kept(select) {
  return ["30", "60", "120"].includes(select.value) ? select.value : "30";
}

function fill(select, values, keys) {
  const option = (value) => Object.assign(document.createElement("option"), { value, textContent: t(keys + value) });
  select.replaceChildren(...values.map(option));
  return select;
}

function heading(text, scope = "col") {
  return Object.assign(document.createElement("th"), { textContent: text, scope });
}

function cell(name, ...nodes) {
  const box = document.createElement("td");
  box.className = name;
  box.dataset.label = t(`live.column.${name}`); // shown on a phone, where the table has no head
  box.append(...nodes);
  return box;
}
