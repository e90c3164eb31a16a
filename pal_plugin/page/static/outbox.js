// What is on its way to the server: strictly one request at a time, in order, kept until it is acknowledged.

import { ApiError, getState, post } from "./api.js";
import { kept } from "./storage.js";

const PREFIX = "pal.outbox.";
const RETRY_MS = [500, 1000, 2000, 4000];
const UNDO = "/api/undo";

/**
 * A job is {path, body, question, key, tried}; path null only asks for the state.
 *
 * What is posted lies in localStorage under a key of its own, so two tabs never overwrite each other's. The server takes
 * the same answer twice without harm; an undo names the question that it takes back, so that it can be sent again too.
 */
export class Outbox {
  #jobs = [];
  #busy = false;
  #failures = 0;
  #timer = 0;
  #last = 0;
  #error = null;

  /** on: {state(state, job), refused(error, job), connection(status)}; status is "ok", "lost" or "denied". */
  constructor(annotator, on) {
    this.annotator = annotator;
    this.status = "lost"; // the first thing asked is always the state, see #reconnect
    this.#jobs = kept.keys(PREFIX).map((key) => ({ ...kept.get(key), key })).filter((job) => job.body);
    this.#last = this.#jobs.reduce((last, job) => Math.max(last, parseInt(job.key.slice(PREFIX.length), 10) || 0), 0);
    this.on = on;
  }

  /** Answers and skips that the server has not acknowledged. */
  get waiting() {
    return this.#jobs.filter((job) => job.question);
  }

  /** Those of this annotator; the others were given here under another name. */
  get mine() {
    return this.waiting.filter((job) => this.#isMine(job));
  }

  isWaiting(id) {
    return this.#jobs.some((job) => job.question?.id === id);
  }

  send(path, body, question) {
    this.#last += 1;
    const key = `${PREFIX}${String(this.#last).padStart(9, "0")}.${Math.random().toString(36).slice(2, 8)}`;
    const job = { path, body, question, key, tried: false };
    this.#jobs.push(job);
    this.#keep(job);
    this.work();
  }

  /** Take back a question, by its id. */
  undo(id) {
    this.send(UNDO, { annotator: this.annotator, question: id });
  }

  get undoing() {
    return this.#jobs.some((job) => job.path === UNDO && this.#isMine(job));
  }

  refresh() {
    if (!this.#jobs.some((job) => job.path === null)) this.#jobs.push({ path: null });
    this.work();
  }

  /** The last answer or skip if it has never left this page: taken back without asking anybody. */
  withdraw() {
    const job = this.#jobs.at(-1);
    if (!job?.question || job.tried || !this.#isMine(job)) return null;
    this.#drop(job);
    return job;
  }

  retryNow() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.work();
  }

  stop() {
    clearTimeout(this.#timer);
    this.on = null;
  }

  async work() {
    if (this.#busy || this.#timer) return;
    this.#busy = true;
    while (this.on && (this.status !== "ok" || this.#jobs.length)) {
      const reached = this.status === "ok" ? await this.#step(this.#jobs[0]) : await this.#reconnect();
      if (!reached) break;
    }
    this.#busy = false;
  }

  async #reconnect() {
    try {
      const state = await getState(this.annotator);
      this.#setStatus("ok");
      for (const job of this.waiting.filter((job) => isForeign(job, state))) {
        this.#drop(job);
        this.on?.refused(new Error("An answer was for another store than the one served now; it was not sent."), job);
      }
      this.on?.state(state, null);
      return true;
    } catch (error) {
      return this.#failed(error, null);
    }
  }

  async #step(job) {
    try {
      job.tried = true;
      if (job.key) this.#keep(job);
      const state = job.path ? await post(job.path, job.body) : await getState(this.annotator);
      this.#drop(job);
      if (this.#isMine(job)) this.on?.state(state, job);
      else this.refresh(); // what came back is about whoever gave that answer
      return true;
    } catch (error) {
      if (!job.key) this.#drop(job);
      return this.#failed(error, job);
    }
  }

  /** Whether the server was reached; if not, the next attempt is scheduled. */
  #failed(error, job) {
    if (error.final) {
      if (job) this.#drop(job);
      this.on?.refused(error, job);
      if (job?.path) this.refresh();
      return Boolean(job);
    }
    this.#error = error;
    this.#setStatus(error.denied ? "denied" : "lost");
    const delay = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
    this.#timer = setTimeout(() => this.retryNow(), delay);
    return false;
  }

  /** What keeps the requests from getting through: the server's own words, where it has any. */
  get problem() {
    return this.#error instanceof ApiError ? this.#error.message : "Not connected.";
  }

  #isMine(job) {
    return !job.body || job.body.annotator === this.annotator;
  }

  #setStatus(status) {
    if (status === "ok") this.#failures = 0;
    this.status = status;
    this.on?.connection(status);
  }

  #keep({ key, path, body, question, tried }) {
    kept.set(key, { path, body, question, tried });
  }

  #drop(job) {
    this.#jobs = this.#jobs.filter((other) => other !== job);
    if (job.key) kept.remove(job.key);
  }
}

/** The server may have been started again on another store, where the same number is another question. */
function isForeign(job, state) {
  return state.questions.some(({ id, anchor }) => id === job.question.id && anchor !== job.question.anchor);
}
