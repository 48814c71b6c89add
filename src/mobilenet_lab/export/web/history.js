// What is on the pad: strokes, images and clearings, of which each can be undone.

export class History {
  actions = [];
  undone = [];

  add(action) {
    this.actions.push(action);
    this.undone = [];
  }

  undo() {
    if (this.canUndo) this.undone.push(this.actions.pop());
  }

  redo() {
    if (this.canRedo) this.actions.push(this.undone.pop());
  }

  clear() {
    if (!this.isEmpty) this.add({ kind: "clear" });
  }

  get canUndo() {
    return this.actions.length > 0;
  }

  get canRedo() {
    return this.undone.length > 0;
  }

  get isEmpty() {
    return this.image === null && this.strokes.length === 0;
  }

  // Start a stroke, and return it. Drawing on an image starts a new drawing.
  addStroke(width, point) {
    const stroke = { kind: "stroke", startsAnew: this.image !== null, width, points: [point] };
    this.add(stroke);
    return stroke;
  }

  // The image that is shown, {source, pixels}, or null.
  get image() {
    const last = this.actions.at(-1);
    return last?.kind === "image" ? last : null;
  }

  // The strokes that are visible, the first one first.
  get strokes() {
    const visible = [];
    for (const action of this.actions.toReversed()) {
      if (action.kind !== "stroke") break;
      visible.unshift(action);
      if (action.startsAnew) break;
    }
    return visible;
  }
}
