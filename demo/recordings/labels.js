/* The names of channels as the server gives them ("track 2, left"), in the language of the page. */

import { t } from "../i18n.js";

export function labelText(label) {
  return label.split(", ").map(part).join(", ");
}

function part(text) {
  const track = /^track (\d+)$/.exec(text);
  if (track) return t("rec.label.track", { n: track[1] });
  return ["left", "right", "recording"].includes(text) ? t(`rec.label.${text}`) : text;
}
