// The answer: the class, its probability, and a bar per class.

const MAX_BARS = 10; // of more classes, the most likely ones are shown
const MAX_RANKED = 5;
const SPOKEN_AFTER_MS = 600; // without a change, so that a screen reader does not read every stroke

export class Answer {
  // classes: names from anyone, which are only ever set as text.
  constructor(classes, { ranked }) {
    this.classes = classes;
    this.isRanked = ranked || classes.length > MAX_BARS;
    this.minConfidence = (1 + 1 / classes.length) / 2; // halfway between chance and certainty
    const count = this.isRanked ? Math.min(MAX_RANKED, classes.length) : classes.length;
    this.rows = Array.from({ length: count }, addRow);
    if (!this.isRanked) this.rows.forEach((row, label) => (row.name.textContent = classes[label]));
  }

  // Show probabilities, and a note about the image or null.
  show(probabilities, note) {
    const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
    const [best] = order;
    const notes = [note, probabilities[best] < this.minConfidence ? "not sure" : null].filter(Boolean);
    element("class").textContent = this.classes[best];
    element("class").classList.toggle("long", this.classes[best].length > 3);
    element("confidence").textContent = percent(probabilities[best]);
    setNote(notes.join(", "), false);
    this.rows.forEach((row, i) => {
      const label = this.isRanked ? order[i] : i;
      if (this.isRanked) row.name.textContent = this.classes[label];
      setBar(row, probabilities[label], label === best);
    });
    this.speak([`${this.classes[best]}, ${percent(probabilities[best])}`, ...notes].join(", "));
  }

  // Show a message instead of an answer.
  showMessage(message) {
    element("class").textContent = element("confidence").textContent = "";
    setNote(message, true);
    for (const row of this.rows) {
      setBar(row, null, false);
      row.item.hidden = this.isRanked;
    }
    this.speak(message);
  }

  speak(text) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (element("spoken").textContent = text), SPOKEN_AFTER_MS);
  }
}

const element = (id) => document.getElementById(id);

function setNote(text, isPlain) {
  element("note").textContent = text;
  element("note").classList.toggle("plain", isPlain);
}

function addRow() {
  const row = { item: document.createElement("li") };
  for (const part of ["name", "track", "value"]) {
    row[part] = document.createElement("span");
    row[part].className = part;
    row.item.append(row[part]);
  }
  row.name.dir = "auto";
  row.bar = document.createElement("span");
  row.bar.className = "bar";
  row.track.append(row.bar);
  element("bars").append(row.item);
  return row;
}

function setBar(row, probability, isBest) {
  row.item.hidden = false;
  row.item.classList.toggle("best", isBest);
  row.bar.style.transform = `scaleX(${probability ?? 0})`;
  row.value.textContent = probability === null ? "" : percent(probability);
}

function percent(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}
