// Anchor and candidate side by side, as large as the window.

import { imageUrl } from "./api.js";

const PIXELS = 1024;

export class Zoom {
  constructor() {
    this.dialog = document.querySelector("#zoom");
    this.anchor = document.querySelector("#zoom-anchor");
    this.candidate = document.querySelector("#zoom-candidate");
    this.other = document.querySelector("#zoom-other");
    this.label = document.querySelector("#zoom-label");
    document.querySelector("#zoom-close").addEventListener("click", () => this.close());
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.close());
  }

  get open() {
    return this.dialog.open;
  }

  /** candidate: null to show the anchor alone. */
  show(anchor, candidate, label, state) {
    this.anchor.src = imageUrl(anchor, PIXELS);
    this.other.hidden = candidate === null;
    if (candidate !== null) this.candidate.src = imageUrl(candidate, PIXELS);
    this.label.textContent = label;
    this.other.dataset.state = state;
    if (this.open) return;
    this.dialog.showModal();
    this.dialog.focus(); // not its button: the keys mean what they mean on the page
  }

  close() {
    this.dialog.close();
  }
}
