// What is on the screen. One function a part; the session says when it changes.

import { imageUrl } from "./api.js";
import { draw, figures } from "./figures.js";
import { ANCHOR_PIXELS, Grid, TILE_PIXELS } from "./grid.js";
import { Zoom } from "./zoom.js";

const PROMPTS = { grid: "Select all that show the same thing as this one", pair: "Do these two show the same thing?" };
const TOAST_MS = 4000;

const $ = (selector) => document.querySelector(selector);

export class View {
  #toastTimer = 0;
  #ahead = []; // keeps the next question's images decoded
  #enlarged = 0;

  /** gone(error): the server will not have this annotator at all. */
  constructor(gone) {
    this.gone = gone;
    this.zoom = new Zoom();
    this.grid = new Grid($("#candidates"), {
      toggle: (id) => this.session.toggle(id),
      doubt: (id) => this.session.doubt(id),
      peek: (index) => this.enlarge(index),
      unpeek: () => this.zoom.close(),
    });
    $("#anchor").addEventListener("click", () => this.enlarge(this.session.current.kind === "pair" ? 0 : null));
    this.zoom.dialog.addEventListener("close", () => this.grid.focused && this.grid.focus(this.#enlarged));
    new ResizeObserver(() => this.grid.fit()).observe(document.documentElement);
  }

  /** A name is asked for. */
  welcome(name, error = "") {
    this.#screen("welcome");
    $("#name").value = name;
    $("#name-error").textContent = error;
    $("#name").focus();
  }

  /** Another question, or none. */
  question(session) {
    this.session = session;
    const { current, done } = session;
    const screen = current ? "ask" : done ? "done" : session.info ? "waiting" : "loading";
    if (this.zoom.open) this.zoom.close();
    this.#screen(screen);
    this.progress(session);
    if (current) this.#ask(current);
    else if (done) this.#finish(done);
    else if (session.info) $("#prompt").focus({ preventScroll: true });
    this.selection(session);
    this.#preload(session.next);
  }

  #ask(question) {
    document.body.dataset.kind = question.kind;
    $("#prompt").textContent = PROMPTS[question.kind];
    $("#again").hidden = !question.again;
    const anchor = $("#anchor");
    anchor.firstElementChild.src = imageUrl(question.anchor, ANCHOR_PIXELS);
    anchor.setAttribute("aria-label", question.kind === "pair" ? "One image, enlarge" : "The image to compare with, enlarge");
    this.grid.show(question);
    window.scrollTo(0, 0);
    if (document.querySelector("dialog[open]")) return;
    if (question.kind === "pair") $("#prompt").focus({ preventScroll: true });
    else this.grid.focus(0);
    const size = question.kind === "pair" ? "A pair." : `${question.candidates.length} candidates.`;
    $("#live").textContent = `${PROMPTS[question.kind]}. ${size}${question.again ? " Asked again." : ""}`;
  }

  #finish(done) {
    $("#done-reason").textContent = `${done.reason.replace(/\.$/, "")}.`;
    $("#done h1").focus({ preventScroll: true });
  }

  /** The marks on the candidates have changed. */
  selection({ current, related, unsure }) {
    if (!current) return;
    this.grid.mark(related, unsure);
    const [label, more] = sendLabel(related.size, unsure.size);
    $("#send-label").textContent = label;
    $("#send-more").textContent = more;
    for (const [id, on] of [["same", related.size], ["unsure", unsure.size], ["different", this.#judgedDifferent(current, related, unsure)]]) {
      $(`#${id}`).classList.toggle("before", Boolean(current.before && on));
    }
    if (this.zoom.open) this.enlarge(this.grid.index);
  }

  #judgedDifferent({ kind, before }, related, unsure) {
    return kind === "pair" && before && !related.size && !unsure.size;
  }

  /** The figures, and what can be done now. */
  progress(session) {
    const { info } = session;
    $("#undo").disabled = $("#done-undo").disabled = !session.canUndo;
    if (!info) return;
    $("#dataset").textContent = `${info.dataset.name} · ${info.dataset.split}`;
    $("#annotator").textContent = session.annotator;
    $("#rename").hidden = false;
    for (const list of document.querySelectorAll(".figures")) draw(list, figures(info, session.gained));
    const bar = $("#budget");
    bar.hidden = info.budget === null;
    bar.max = info.budget ?? 1;
    bar.value = info.progress.questions;
    if (session.done && document.body.dataset.screen !== "done") this.question(session);
    this.#preload(session.next);
  }

  connection({ outbox }) {
    const count = outbox.waiting.length;
    const waiting = count ? `${count} ${count === 1 ? "answer is" : "answers are"} kept here and will be sent.` : "Nothing is lost.";
    const text = {
      ok: "",
      lost: `${outbox.problem} ${waiting}`,
      denied: `The server does not know this browser: open the address that pal oracle serve printed. ${waiting}`,
    }[outbox.status];
    if ($("#banner").textContent !== text) $("#banner").textContent = text;
  }

  /** Something that happened, said in passing. */
  say(text, isError = false) {
    const toast = $("#toast");
    toast.textContent = text;
    toast.classList.toggle("error", isError);
    clearTimeout(this.#toastTimer);
    this.#toastTimer = setTimeout(() => (toast.textContent = ""), isError ? 3 * TOAST_MS : TOAST_MS);
  }

  /** index: of a candidate, or null for the anchor alone. */
  enlarge(index) {
    const { current, related, unsure } = this.session;
    if (!current) return;
    this.#enlarged = index ?? 0;
    const id = index === null ? null : current.candidates[index];
    const state = related.has(id) ? "same" : unsure.has(id) ? "unsure" : "";
    const mark = { same: ": selected", unsure: ": not sure", "": "" }[state];
    this.zoom.show(current.anchor, id, current.kind === "pair" ? "The other" : `Candidate ${index + 1}${mark}`, state);
  }

  #preload(question) {
    if (!question || this.#ahead.id === question.id) return;
    const load = (id, pixels) => Object.assign(new Image(), { src: imageUrl(id, pixels) });
    const scale = question.kind === "pair" ? 2 : 1;
    this.#ahead = [load(question.anchor, ANCHOR_PIXELS), ...question.candidates.map((id) => load(id, TILE_PIXELS * scale))];
    this.#ahead.id = question.id;
  }

  #screen(name) {
    document.body.dataset.screen = name;
  }
}

/** What the button says, and what it says besides where there is room. */
function sendLabel(related, unsure) {
  if (!related && !unsure) return ["None of these", ""];
  if (!related) return [`Send ${unsure} not sure`, ""];
  return [`Send ${related} same`, unsure ? `, ${unsure} not sure` : ""];
}
