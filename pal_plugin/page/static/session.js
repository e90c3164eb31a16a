// One annotator's questions and answers. The next question is here already when the current one is answered.

import { Outbox } from "./outbox.js";
import { Stopwatch } from "./stopwatch.js";
import { draft } from "./storage.js";

const DRAFT = "pal.draft";
const SETTLE_MS = 250; // a double click answers one question, not the next one as well

/** view: {question(session), selection(session), progress(session), say(text), connection(session), gone(error)} */
export class Session {
  questions = [];
  related = new Set();
  unsure = new Set();
  info = null;
  gained = null; // pairs that the last acknowledged answer made known

  #clicks = 0;
  #shownAt = 0;
  #watch = new Stopwatch();

  constructor(annotator, view) {
    this.annotator = annotator;
    this.view = view;
    this.outbox = new Outbox(annotator, {
      state: (state, job) => this.#take(state, job),
      refused: (error, job) => this.#refused(error, job),
      connection: () => view.connection(this),
    });
    this.outbox.work();
  }

  get current() {
    return this.questions[0] ?? null;
  }

  get next() {
    return this.questions[1] ?? null;
  }

  get done() {
    return !this.current && !this.outbox.mine.length && !this.outbox.undoing ? (this.info?.done ?? null) : null;
  }

  get canUndo() {
    return !this.outbox.undoing && (this.outbox.mine.length > 0 || Boolean(this.info?.can_undo));
  }

  /** Mark a candidate as the same, or take the mark away. */
  toggle(id) {
    this.#mark(id, this.related, this.unsure);
  }

  /** Mark a candidate as not sure, or take the mark away. */
  doubt(id) {
    this.#mark(id, this.unsure, this.related);
  }

  #mark(id, into, outOf) {
    if (!into.delete(id)) into.add(id);
    outOf.delete(id);
    this.#clicks += 1;
    this.#saveDraft();
    this.view.selection(this);
  }

  /** Send what is selected. */
  send() {
    if (!this.#ready) return;
    const { id } = this.current;
    this.#post("/api/answers", {
      question: id,
      annotator: this.annotator,
      related: [...this.related],
      unsure: [...this.unsure],
      clicks: this.#clicks + 1,
      seconds: this.#watch.seconds,
    });
  }

  /** Answer a pair: 1 the same, -1 different, 0 not sure. */
  judge(relation) {
    if (!this.#ready) return;
    const [other] = this.current.candidates;
    this.related = new Set(relation > 0 ? [other] : []);
    this.unsure = new Set(relation === 0 ? [other] : []);
    this.send();
  }

  skip() {
    if (!this.#ready) return;
    this.#post("/api/skip", { question: this.current.id, annotator: this.annotator, seconds: this.#watch.seconds });
  }

  undo() {
    if (!this.canUndo) return;
    const job = this.outbox.withdraw();
    if (!job) {
      this.outbox.undo(this.outbox.mine.at(-1)?.question.id ?? this.info.last);
      this.view.progress(this);
      return;
    }
    const { related = [], unsure = [] } = job.body;
    this.questions.unshift({ ...job.question, before: { related, unsure } });
    this.#show();
    this.view.say("Taken back.");
  }

  get #ready() {
    return this.current !== null && performance.now() - this.#shownAt > SETTLE_MS;
  }

  #post(path, body) {
    const question = this.questions.shift();
    draft.remove(DRAFT);
    this.outbox.send(path, body, question);
    this.#show();
  }

  #take(state, job) {
    const shown = this.current;
    const undone = job?.path === "/api/undo";
    this.gained = job?.path === "/api/answers" ? known(state) - known(this.info ?? state) : null;
    this.info = state;
    this.questions = state.questions.filter(({ id }) => !this.outbox.isWaiting(id));
    const place = undone ? -1 : this.questions.findIndex(({ id, anchor }) => id === shown?.id && anchor === shown.anchor);
    if (place >= 0) this.questions.unshift(...this.questions.splice(place, 1));
    if (place < 0) this.#show();
    else this.view.progress(this);
    if (undone) this.view.say("Taken back. Your last answer is marked.");
  }

  #refused(error, job) {
    if (!job) this.view.gone(error);
    else this.view.say(error.message, true);
  }

  #show() {
    const question = this.current;
    const left = draft.get(DRAFT);
    const here = question && left?.id === question.id && left.anchor === question.anchor ? left : null;
    const marks = here ?? question?.before;
    this.related = new Set(marks?.related);
    this.unsure = new Set(marks?.unsure);
    this.#clicks = here?.clicks ?? 0;
    this.#watch.restart(here?.seconds);
    this.#shownAt = performance.now();
    this.view.question(this);
  }

  #saveDraft() {
    const { id, anchor } = this.current;
    const marks = { related: [...this.related], unsure: [...this.unsure] };
    draft.set(DRAFT, { id, anchor, ...marks, clicks: this.#clicks, seconds: this.#watch.seconds });
  }
}

function known({ progress }) {
  return progress.related + progress.unrelated;
}
