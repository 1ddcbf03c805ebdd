/* Tells the user in the display dialog which role their token has, and what it allows. */

import { language, t } from "../../i18n.js";

let me = null; // {name, role}; null: not known

/** found: {name, role}, as the server says. */
export function showRole(found) {
  me = found;
  draw();
}

function draw() {
  const place = document.getElementById("my-role");
  place.hidden = me === null;
  if (me) place.textContent = t("people.role", { role: t(`people.role.${me.role}`) });
}

language.addEventListener("language", draw);
