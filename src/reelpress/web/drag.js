// Dragging with a pointer of any kind. What can be dragged can be done by keys and buttons, too.

const MOVED_PX = 4; // less is a click

/** Hear each move of a pointer that was pressed just now, and of no other, until it is let go; its small tremble is none. */
export function drag(event, onMove, onEnd = () => {}) {
  event.preventDefault();
  const target = event.currentTarget;
  const [x, y] = [event.clientX, event.clientY];
  let moves = false;
  const move = (now) => {
    if (now.pointerId !== event.pointerId) return;
    moves ||= Math.hypot(now.clientX - x, now.clientY - y) >= MOVED_PX;
    if (moves) onMove(now);
  };
  const end = (now) => {
    if (now.pointerId !== event.pointerId) return;
    target.removeEventListener("pointermove", move);
    for (const kind of ["pointerup", "pointercancel"]) target.removeEventListener(kind, end);
    onEnd(moves);
  };
  target.setPointerCapture(event.pointerId);
  target.addEventListener("pointermove", move);
  for (const kind of ["pointerup", "pointercancel"]) target.addEventListener(kind, end);
}
