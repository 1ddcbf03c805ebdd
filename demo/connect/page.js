/* The page /connect: the settings of each client of another service, and a light that shows whether its audio arrives.
 *
 * The settings come from the server (GET api/clients), with the address under which this page was opened. Owns the
 * look every second; the cards are card.js.
 */

import { address, request } from "../api.js";
import { language, t } from "../i18n.js";
import { needsToken } from "../notice.js";
import { $, askToken, beginPage } from "../page.js";
import { ClientCard } from "./card.js";

const EVERY_MS = 1000;

const notice = beginPage();
const base = address(".").href.replace(/\/$/, "");
let cards = [];
let asksToken = null; // null: not known yet
let isLooking = false;

async function look() {
  if (isLooking || document.hidden) return;
  isLooking = true;
  try {
    const found = await request("GET", `api/clients?base=${encodeURIComponent(base)}`);
    asksToken = found.asks_token;
    if (!cards.length) show(found.clients);
    const heard = cards.filter((card) => card.see(found.feeds, Date.now()));
    if (heard.length) $("heard").textContent = heard.map((card) => card.status).join(". ");
  } catch (error) {
    if (!cards.length) notice.show(error); // later, the banner says that the server does not respond
    for (const card of cards) card.lose();
  } finally {
    isLooking = false;
  }
}

function show(clients) {
  cards = clients.map((client) => new ClientCard(client));
  $("none").hidden = cards.length > 0;
  $("clients").replaceChildren(...cards.map((card) => card.element));
  draw();
}

function draw() {
  $("token-note").textContent = asksToken === null ? "" : t(asksToken ? "connect.token" : "connect.noToken");
  for (const card of cards) card.draw();
}

language.addEventListener("language", draw);
if ((await needsToken()) && !(await askToken())) notice.show({ code: "bad_token" });
await look();
setInterval(look, EVERY_MS);
document.documentElement.dataset.ready = "";
