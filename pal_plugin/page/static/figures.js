// The figures beside the question: what has been asked, what is known by it, and what it cost.

const NUMBER = new Intl.NumberFormat("en");
const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumSignificantDigits: 3 });

/** [{term, value, note}] of a state; only what there is. */
export function figures(state, gained) {
  const { progress, budget, cost, agreement, contradictions } = state;
  const asked = progress.questions;
  const others = asked === progress.mine.questions ? undefined : `${NUMBER.format(asked)} by everybody`;
  const rows = [
    {
      term: "Your answers",
      value: NUMBER.format(progress.mine.questions),
      note: budget === null ? others : `${NUMBER.format(asked)} of ${NUMBER.format(budget)} questions answered`,
    },
    {
      term: "Pairs known",
      value: NUMBER.format(progress.related + progress.unrelated),
      note: `${PERCENT.format(progress.known_share)} of all${gained === null ? "" : `, ${signed(gained)} by the last answer`}`,
    },
    { term: "Your time", value: duration(progress.mine.seconds) },
  ];
  if (cost) rows.push({ term: "Cost so far", value: money(cost) });
  if (agreement) {
    const kappa = agreement.kappa === null ? "" : `, κ ${agreement.kappa.toFixed(2)}`;
    rows.push({ term: "Agreement", value: PERCENT.format(agreement.agree), note: `on ${NUMBER.format(agreement.pairs)} pairs${kappa}` });
  }
  if (contradictions) rows.push({ term: "Contradictions", value: NUMBER.format(contradictions) });
  return rows;
}

export function draw(list, rows) {
  const cells = rows.map(({ term, value, note }) => {
    const row = document.createElement("div");
    for (const [tag, text] of [["dt", term], ["dd", value], ["dd", note]]) {
      if (text === undefined) continue;
      row.append(Object.assign(document.createElement(tag), { textContent: text }));
    }
    return row;
  });
  list.replaceChildren(...cells);
}

function signed(number) {
  return number < 0 ? `−${NUMBER.format(-number)}` : `+${NUMBER.format(number)}`;
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.round(seconds)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function money({ total, currency }) {
  const text = total.toFixed(total !== 0 && Math.abs(total) < 0.1 ? 4 : 2);
  return currency.length > 1 ? `${text} ${currency}` : `${currency}${text}`;
}
