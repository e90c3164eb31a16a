// The candidates: tiles that are toggle buttons, one tab stop in all, as large as the window lets them be.

import { imageUrl } from "./api.js";
import { LABELS } from "./keys.js";

export const TILE_PIXELS = 384; // asked of the server: a tile on a screen of twice the density
export const ANCHOR_PIXELS = 768;
const SMALLEST = 92; // CSS pixels; below that the page scrolls instead
const LARGEST = 248;
const GAP = 10;
const HOLD_MS = 350;

export class Grid {
  columns = 1;
  index = 0;
  #tiles = [];

  /** on: {toggle(id), doubt(id), peek(index), unpeek()} */
  constructor(element, on) {
    this.element = element;
    this.on = on;
    element.addEventListener("focusin", ({ target }) => {
      const index = this.#tiles.findIndex(({ tile }) => tile.contains(target));
      if (index >= 0) this.#setIndex(index);
    });
  }

  get focused() {
    return this.element.contains(document.activeElement);
  }

  /** Show a question's candidates in place of what was there. */
  show(question) {
    this.question = question;
    this.index = 0;
    this.#tiles = (question?.candidates ?? []).map((id, index) => this.#tile(id, index, question.kind === "pair"));
    this.element.replaceChildren(...this.#tiles.map(({ tile }) => tile));
    this.fit();
  }

  mark(related, unsure) {
    for (const { id, tile, pick, doubt, name } of this.#tiles) {
      const state = related.has(id) ? "same" : unsure.has(id) ? "unsure" : "";
      tile.dataset.state = state;
      if (!doubt) continue;
      pick.setAttribute("aria-pressed", String(state === "same"));
      pick.setAttribute("aria-label", state === "unsure" ? `${name}, not sure` : name);
      doubt.setAttribute("aria-pressed", String(state === "unsure"));
    }
  }

  focus(index = this.index) {
    this.#setIndex(index);
    this.#tiles[index]?.pick.focus({ preventScroll: this.index === 0 });
  }

  move(where) {
    const last = this.#tiles.length - 1;
    const steps = { left: -1, right: 1, up: -this.columns, down: this.columns };
    const to = where === "first" ? 0 : where === "last" ? last : this.index + steps[where];
    if (to < 0 || to > last) return;
    this.#setIndex(to);
  }

  /** Choose the number of columns that makes the tiles largest between the grid's top and the bar below it. */
  fit() {
    const count = this.#tiles.length;
    if (this.question?.kind === "pair") this.element.removeAttribute("style"); // the style sheet has their size
    if (!count || this.question.kind === "pair" || !this.element.offsetParent) return;
    const style = getComputedStyle(this.element);
    const strip = parseFloat(style.getPropertyValue("--strip"));
    const width = this.element.clientWidth;
    const top = this.element.getBoundingClientRect().top + window.scrollY;
    const height = window.innerHeight - top - document.querySelector("#ask .actions").offsetHeight - GAP;
    const wide = (columns) => (width - GAP * (columns - 1)) / columns;
    const side = (columns) => {
      const rows = Math.ceil(count / columns);
      return Math.min(wide(columns), (height - GAP * (rows - 1)) / rows - strip);
    };
    let columns = 1;
    for (let choice = 2; choice <= count; choice += 1) if (side(choice) > side(columns)) columns = choice;
    let size = Math.min(side(columns), LARGEST);
    if (size < SMALLEST) {
      columns = Math.max(1, Math.min(count, Math.floor((width + GAP) / (SMALLEST + GAP))));
      size = wide(columns);
    }
    this.columns = columns;
    this.element.style.setProperty("--room", `${Math.max(0, Math.floor(height))}px`);
    this.element.style.setProperty("--columns", columns);
    this.element.style.setProperty("--side", `${Math.floor(size)}px`);
  }

  #setIndex(index) {
    this.index = index;
    for (const [place, { pick }] of this.#tiles.entries()) pick.tabIndex = place === index ? 0 : -1;
  }

  #tile(id, index, isPair) {
    const name = isPair ? "The other image" : `Candidate ${index + 1}`;
    const tile = make("div", { className: "tile" });
    const pick = make("button", { type: "button", className: "pick picture", tabIndex: index ? -1 : 0 });
    pick.setAttribute("aria-label", isPair ? `${name}, enlarge` : name);
    pick.append(picture(id, TILE_PIXELS * (isPair ? 2 : 1)));
    tile.append(pick);
    if (isPair) {
      pick.addEventListener("click", () => this.on.peek(index));
      return { id, tile, pick, name };
    }
    this.#holdable(pick, index, () => this.on.toggle(id));
    const strip = make("div", { className: "strip" });
    const key = make("kbd", { textContent: LABELS[index] ?? "" });
    key.setAttribute("aria-hidden", "true");
    const doubt = make("button", { type: "button", className: "doubt", textContent: "?", tabIndex: -1 });
    doubt.title = "Not sure";
    doubt.setAttribute("aria-label", `${name}: not sure`);
    doubt.addEventListener("click", () => this.on.doubt(id));
    strip.append(key, doubt);
    tile.append(strip);
    return { id, tile, pick, doubt, name };
  }

  /** A click is a click; held, it enlarges for as long as it is held, and then is not a click. */
  #holdable(button, index, click) {
    let timer = 0;
    let held = false;
    let start = null;
    const end = () => {
      clearTimeout(timer);
      if (start && held) this.on.unpeek();
      start = null;
    };
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = false;
      start = event;
      timer = setTimeout(() => {
        held = true;
        this.on.peek(index);
      }, HOLD_MS);
      window.addEventListener("pointerup", end, { once: true });
      window.addEventListener("pointercancel", end, { once: true });
    });
    button.addEventListener("pointermove", ({ clientX, clientY }) => {
      if (start && !held && Math.hypot(clientX - start.clientX, clientY - start.clientY) > 10) clearTimeout(timer);
    });
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    button.addEventListener("click", () => {
      if (!held) click();
      held = false;
    });
  }
}

export function picture(id, pixels) {
  return make("img", { src: imageUrl(id, pixels), alt: "", draggable: false, decoding: "sync" });
}

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
