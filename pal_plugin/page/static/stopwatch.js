// Seconds spent on a question by somebody who is there: the page in view, and a sign of life within the last minute.

const IDLE_MS = 60_000;
const SIGNS = ["pointermove", "pointerdown", "keydown", "scroll"];

export class Stopwatch {
  #spent = 0;
  #since = performance.now();
  #running = !document.hidden;

  constructor() {
    for (const sign of SIGNS) document.addEventListener(sign, () => this.#mark(), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => {
      this.#mark();
      this.#running = !document.hidden;
    });
  }

  restart(seconds = 0) {
    this.#spent = seconds * 1000;
    this.#since = performance.now();
  }

  get seconds() {
    this.#mark();
    return Math.round(this.#spent) / 1000;
  }

  #mark() {
    const now = performance.now();
    if (this.#running) this.#spent += Math.min(now - this.#since, IDLE_MS);
    this.#since = now;
  }
}
