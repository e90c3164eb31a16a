// The keyboard. Letters can be switched off (they get in the way of speech input); arrows and Enter stay.

const COMMANDS = { s: "skip", z: "undo", u: "doubt", y: "same", n: "different", "?": "help" };

/** The keys that select candidates: those that mean nothing else. */
export const LABELS = [..."123456789abcdefghijklmopqrtvwx"];

const MOVES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Home: "first", End: "last" };

/** act: one function a command, and pick(index), move(where), mark(), send(), zoom(pressed); true where it applied. */
export function listen(act, lettersOn) {
  const run = (event, applied) => applied !== false && event.preventDefault();

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || act.busy(event.target)) return;
    const { key, target } = event;
    if (key in MOVES) run(event, act.move(MOVES[key]));
    else if (key === "Enter" && isTile(target)) run(event, event.repeat || act.send());
    else if (key === " " && isTile(target)) run(event, event.repeat || act.mark());
    else if (event.repeat || !lettersOn()) return;
    else if (key === "+" || key === "=") run(event, act.zoom(true));
    else if (LABELS.includes(key.toLowerCase())) run(event, act.pick(LABELS.indexOf(key.toLowerCase())));
    else if (key.toLowerCase() in COMMANDS) run(event, act[COMMANDS[key.toLowerCase()]]());
  });
  document.addEventListener("keyup", ({ key }) => (key === "+" || key === "=") && act.zoom(false));
}

/** Where Enter sends and Space selects: anywhere but on a button that does something else. */
function isTile(target) {
  return !target.closest("button, a, input, summary") || target.closest(".pick, #zoom") !== null;
}
