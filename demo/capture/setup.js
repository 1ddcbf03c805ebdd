/* The setup of this machine: which inputs it sends, with which names. Owns one key of the browser's storage.
 *
 * A card is {id, deviceId, label, isSplit, language, isOn, strips: [{name, place, last}]}, with two strips always, so that
 * the name of the right side stays when the split is switched off. place: the channel that the user wants, "" for any;
 * last: the channel it had last. isOn: it was sending, and begins again when the page is opened.
 */

const KEY = "host-stt.capture";
export const CARDS_MAX = 16;
export const NAME_MAX = 80;
export const PLACES = Array.from({ length: 64 }, (_, i) => `C${String(i + 1).padStart(2, "0")}`);
export const LANGUAGES = ["auto", "en", "ko"];

export function loadSetup(storage = localStorage) {
  let kept = null;
  try {
    kept = JSON.parse(storage.getItem(KEY) ?? "[]");
  } catch {
    // Not JSON: start with a new card.
  }
  const cards = Array.isArray(kept) ? kept.slice(0, CARDS_MAX).map(checked) : [];
  return cards.length ? cards : [newCard([])];
}

export function saveSetup(cards, storage = localStorage) {
  storage.setItem(KEY, JSON.stringify(cards));
}

/** A card with an id that none of `cards` has. */
export function newCard(cards) {
  const used = new Set(cards.map((card) => card.id));
  const id = Array.from({ length: CARDS_MAX + 1 }, (_, i) => i + 1).find((n) => !used.has(n));
  return checked({ id });
}

function checked(card) {
  const strips = [0, 1].map((side) => strip(card?.strips?.[side]));
  return {
    id: Number.isInteger(card?.id) ? card.id : 1,
    deviceId: text(card?.deviceId, 500),
    label: text(card?.label, 500),
    isSplit: card?.isSplit === true,
    language: LANGUAGES.includes(card?.language) ? card.language : "auto",
    isOn: card?.isOn === true,
    strips,
  };
}

function strip(kept) {
  const place = (id) => (PLACES.includes(id) ? id : "");
  return { name: text(kept?.name, NAME_MAX), place: place(kept?.place), last: place(kept?.last) };
}

const text = (value, chars) => (typeof value === "string" ? value.slice(0, chars) : "");
