// The page of `pal oracle serve`: who is answering, then question after question.

import { listen } from "./keys.js";
import { Session } from "./session.js";
import { kept } from "./storage.js";
import { View } from "./view.js";

const NAME = "pal.annotator";
const LETTERS = "pal.letters";
const LOOK_MS = 15_000; // how often the figures follow other people's answers

const $ = (selector) => document.querySelector(selector);

let session = null;
let zoomPressedAt = null;
const help = $("#help");
const view = new View((error) => rename(error.message));

function start(name) {
  kept.set(NAME, name);
  session = new Session(name, view);
  view.question(session);
}

function rename(error) {
  const name = session?.annotator ?? "";
  session?.outbox.stop();
  session = null;
  view.welcome(name, error);
}

function asking(kind) {
  return session?.current && !help.open && (!kind || session.current.kind === kind) ? session.current : null;
}

const act = {
  busy: (target) => help.open || target.matches("input, textarea, select"),
  help: () => help.showModal(),
  skip: () => (asking() && !view.zoom.open ? session.skip() : false),
  undo: () => (session && !view.zoom.open ? session.undo() : false),
  same: () => (asking("pair") ? session.judge(1) : false),
  different: () => (asking("pair") ? session.judge(-1) : false),
  send: () => (asking("grid") && !view.zoom.open ? session.send() : view.zoom.open ? view.zoom.close() : false),
  doubt: () => {
    if (asking("pair")) return session.judge(0);
    return mark((id) => session.doubt(id));
  },
  mark: () => mark((id) => session.toggle(id)),
  pick: (index) => {
    const id = asking("grid")?.candidates[index];
    if (!id) return false;
    if (!view.zoom.open) view.grid.focus(index);
    return session.toggle(id);
  },
  move: (where) => {
    if (!asking("grid") || !(view.grid.focused || view.zoom.open)) return false;
    view.grid.move(where);
    return view.zoom.open ? view.enlarge(view.grid.index) : view.grid.focus();
  },
  zoom: (pressed) => {
    const held = zoomPressedAt !== null && performance.now() - zoomPressedAt > 400;
    if (pressed && view.zoom.open) view.zoom.close();
    else if (pressed && asking()) {
      zoomPressedAt = performance.now();
      view.enlarge(view.grid.index);
      return true;
    } else if (!pressed && held && view.zoom.open) view.zoom.close();
    zoomPressedAt = null;
    return pressed;
  },
};

function mark(how) {
  if (!asking("grid") || !(view.grid.focused || view.zoom.open)) return false;
  return how(session.current.candidates[view.grid.index]);
}

const letters = $("#letters");
letters.checked = kept.get(LETTERS) ?? true;
letters.addEventListener("change", () => {
  kept.set(LETTERS, letters.checked);
  document.body.classList.toggle("no-letters", !letters.checked);
});
document.body.classList.toggle("no-letters", !letters.checked);
listen(act, () => letters.checked);

for (const [selector, name] of [
  ["#undo", "undo"], ["#done-undo", "undo"], ["#skip", "skip"], ["#send", "send"],
  ["#same", "same"], ["#different", "different"], ["#unsure", "doubt"], ["#help-open", "help"],
]) {
  $(selector).addEventListener("click", () => act[name]());
}
$("#rename").addEventListener("click", () => rename());
$("#name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("#name").value.trim().replace(/\s+/g, " ");
  if (/^[\p{L}\p{N} ._@-]{1,64}$/u.test(name)) start(name);
  else view.welcome($("#name").value, "Letters, digits, spaces and . _ @ - only, please.");
});

setInterval(() => document.hidden || session?.outbox.refresh(), LOOK_MS);
window.addEventListener("online", () => session?.outbox.retryNow());

const known = kept.get(NAME);
if (known) start(known);
else view.welcome("");
