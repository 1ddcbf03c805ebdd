/* What the user chose for live audio: per channel volume, pan, mute, solo, priority and avoidance; and for all.
 *
 * Owns one entry of the user's settings. Values that cannot be used are replaced by the defaults, so an old or damaged
 * entry never breaks the page. Emits "change".
 */

import { userSettings } from "./user-settings.js";

const KEY = "host-stt.desk-live-audio";
export const PRIORITIES = ["low", "normal", "high"];
export const MODES = ["all", "one"]; // all channels together, or one at a time as on a scanner
export const SOLO_OTHERS = ["silent", "dim"]; // what solo does to the other channels
export const VOLUME_MAX = 1.5;
export const STICKY_S_MAX = 15;
export const UNTIL_RELEASED = "released";

const CHANNEL = { volume: 1, pan: 0, isMuted: false, isSolo: false, priority: "normal", avoidedUntil: null };
const ALL = { volume: 0.8, mode: "all", soloOthers: "silent", stickyS: 2.5, isDucking: true, replaySpeed: 1, skipsSilence: false };

/** What each field may hold; everything else becomes the default. */
const CHECKS = {
  volume: (value) => within(value, 0, VOLUME_MAX),
  pan: (value) => within(value, -1, 1),
  isMuted: isBoolean,
  isSolo: isBoolean,
  priority: (value) => PRIORITIES.includes(value),
  avoidedUntil: (value) => value === UNTIL_RELEASED || within(value, 0, Number.MAX_SAFE_INTEGER),
  mode: (value) => MODES.includes(value),
  soloOthers: (value) => SOLO_OTHERS.includes(value),
  stickyS: (value) => within(value, 0, STICKY_S_MAX),
  isDucking: isBoolean,
  replaySpeed: (value) => within(value, 0.75, 2),
  skipsSilence: isBoolean,
};

export class LiveSettings extends EventTarget {
  #all;
  #channels = new Map(); // id -> its settings, only of channels that differ from the defaults

  constructor(storage = userSettings) {
    super();
    this.storage = storage;
    this.#restore();
    storage.addEventListener?.("part", ({ detail }) => {
      if (detail !== KEY) return;
      this.#restore();
      this.dispatchEvent(new Event("change"));
    });
  }

  #restore() {
    const kept = read(this.storage);
    this.#all = checked(kept, ALL);
    this.#channels.clear();
    for (const [id, values] of Object.entries(kept.channels ?? {})) {
      if (/^C\d\d$/.test(id)) this.#channels.set(id, checked(values, CHANNEL));
    }
  }

  get all() {
    return this.#all;
  }

  /** The settings of a channel; do not change the object. */
  of(id) {
    return this.#channels.get(id) ?? CHANNEL;
  }

  get solo() {
    return [...this.#channels].filter(([, one]) => one.isSolo).map(([id]) => id);
  }

  setAll(values) {
    this.#all = checked({ ...this.#all, ...values }, ALL);
    this.#save();
  }

  set(id, values) {
    this.#channels.set(id, checked({ ...this.of(id), ...values }, CHANNEL));
    this.#save();
  }

  /** Avoid a channel for this many minutes, or until it is released (UNTIL_RELEASED), or no more (0). */
  avoid(id, minutes, nowMs) {
    const until = minutes === UNTIL_RELEASED ? UNTIL_RELEASED : minutes ? nowMs + minutes * 60_000 : null;
    this.set(id, { avoidedUntil: until });
  }

  isAvoided(id, nowMs) {
    const { avoidedUntil } = this.of(id);
    return avoidedUntil === UNTIL_RELEASED || (avoidedUntil !== null && avoidedUntil > nowMs);
  }

  #save() {
    this.storage.setItem(KEY, JSON.stringify({ ...this.#all, channels: Object.fromEntries(this.#channels) }));
    this.dispatchEvent(new Event("change"));
  }
}

function read(storage) {
  try {
    const kept = JSON.parse(storage.getItem(KEY) ?? "{}");
    return kept && typeof kept === "object" ? kept : {};
  } catch {
    return {}; // not JSON: start with the defaults
  }
}

function checked(values, defaults) {
  const pairs = Object.entries(defaults).map(([name, usual]) => {
    const value = values?.[name];
    return [name, value !== undefined && value !== null && CHECKS[name](value) ? value : usual];
  });
  return Object.fromEntries(pairs);
}

function within(value, least, most) {
  return typeof value === "number" && value >= least && value <= most;
}

function isBoolean(value) {
  return typeof value === "boolean";
}
