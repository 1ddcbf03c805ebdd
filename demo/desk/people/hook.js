/* Connects what people do with lines to the desk: the chosen line, its bar, the editor, the dialogs and their keys. */

import { ServerError, request, rememberToken } from "../../api.js";
import { isNotSaid } from "../../events.js";
import { $ } from "../../page.js";
import { fillHit } from "../finder.js";
import { userSettings } from "../user-settings.js";
import { ChosenLine } from "./chosen-line.js";
import { LineEditor } from "./editor.js";
import { openHistory } from "./history.js";
import { BUTTONS, LineBar, mayAs } from "./line-bar.js";
import { openLearn } from "./learn.js";
import { showRole } from "./my-role.js";
import { openRedact } from "./redact.js";
import { openShare } from "./share.js";
import { openNote, openReport, setMark } from "./words.js";

/** The link of a wall screen has its token behind "#": use it, and take it out of the address. Returns whether it had. */
export function takeWallLink() {
  const found = /^#wall=([\w-]+)$/.exec(location.hash);
  if (!found) return false;
  rememberToken(found[1]);
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

/** model: the DeskModel; focused(): the channel in focus; view(): the view; open(id): shows a channel with its text;
 *  onError(error). Returns {actions, take(change), tick(), useKeys(keys)}. */
export function beginPeople({ model, focused, view, open, onError }) {
  let me = { name: "", role: "admin" }; // until the server has said it; the server checks every request
  const act = Object.fromEntries(Object.keys(BUTTONS).map((name) => [name, () => run(name)]));
  const chosen = new ChosenLine({ model, root: $("views"), focused, inLog: () => view() === "log" });
  const editor = new LineEditor({ onSaved: noteSaved, onClosed: () => draw() });
  let keyOf = () => "";
  const bar = new LineBar({ place: $("player"), act, keyOf: (action) => keyOf(action), onClose: () => chosen.choose(null) });
  chosen.addEventListener("chosen", draw);
  $("views").addEventListener("dblclick", (event) => event.target.closest(".segment[data-segment]") && run("edit"));
  ask();

  const does = {
    edit: (line) => edit(line),
    star: (line) => send(setMark(line, "star", !line.marks?.includes("star"))),
    note: (line) => openNote(line),
    report: (line) => (line.marks?.includes("report") ? send(setMark(line, "report", false)) : openReport(line)),
    notSaid: (line) => send(setMark(line, "not_said", !isNotSaid(line))),
    learn: (line) => openLearn(line, selectedIn(line), me),
    history: (line) => openHistory(line, mayAs(me.role, "operator") ? (text) => edit(line, text) : null),
    share: (line) => openShare(line, me),
    redact: (line) => openRedact(line),
  };
  const WITHOUT_WORDS = ["history", "share"]; // what a redacted line still allows

  function run(name) {
    const line = chosen.orNewest();
    if (!line) return false;
    if (!mayAs(me.role, BUTTONS[name])) {
      onError(new ServerError("role_too_low", { detail: `${me.role} < ${BUTTONS[name]}` }));
      return true;
    }
    if (line.isRedacted && !WITHOUT_WORDS.includes(name)) return false;
    does[name](line);
    return true;
  }

  /** On the wall there is no room for an editor: the channel is opened, and the line edited there. */
  function edit(line, text) {
    if (view() === "wall" || !chosen.node()) open(line.channel);
    chosen.choose(line);
    const node = chosen.node();
    if (node) editor.open(line, node, text);
  }

  async function send(sending) {
    try {
      const { marks } = await sending;
      noteHit({ marks });
      draw();
    } catch (error) {
      onError(error);
    }
  }

  async function ask() {
    try {
      me = await request("GET", "api/me");
    } catch {
      return; // without a token; the page asks for one, and loads nothing before
    }
    bar.role = me.role;
    showRole(me);
    userSettings.load();
  }

  function noteSaved(line, { text, revision }) {
    if (line.segment === chosen.hit?.segment) noteHit({ text, revision, parts: [{ text, hit: false }] });
    draw();
  }

  /** A hit of the search is no line of the transcript, so no event changes it. */
  function noteHit(changed) {
    if (view() !== "search" || !chosen.hit?.parts) return;
    Object.assign(chosen.hit, changed);
    if (chosen.node()) fillHit(chosen.node(), chosen.hit);
  }

  function draw() {
    bar.draw(chosen.line);
  }

  return {
    actions: { ...act, nextChosen: () => chosen.step(1), previousChosen: () => chosen.step(-1) },
    /** A change of the transcript. */
    take(change) {
      if (!change.line || change.type === "line") return;
      editor.noteChange(change.line);
      if (change.line === chosen.line) draw();
    },
    choose: (line) => chosen.choose(line),
    tick: () => chosen.mark(),
    useKeys(keys) {
      keyOf = (action) => keys.shownKeyOf(action);
      draw();
    },
    askAgain: ask,
    /** The server refuses this token. Returns whether another token helps: not on a screen whose link has ended. */
    async explainDenial(notice) {
      const denial = await request("GET", "api/me").then(() => ({ code: "bad_token" }), (error) => error);
      notice.show(denial);
      return denial.code !== "link_ended";
    },
  };
}

/** The words that the user marked inside of the line, or "". */
function selectedIn(line) {
  const text = getSelection().toString().trim();
  return text && line.text.includes(text) ? text : "";
}
