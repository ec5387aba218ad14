// What is not saved yet when somebody leaves the page.

/** Save when the page is hidden, and have the browser ask whoever leaves too early; `draftNow` returns the draft, if any. */
export function keepSaved(draftNow) {
  document.addEventListener("visibilitychange", () => {
    const draft = draftNow();
    if (document.hidden) draft?.flush().catch(() => {});
    else draft?.refresh().catch(() => {});
  });
  window.addEventListener("beforeunload", (event) => {
    const draft = draftNow();
    if (!draft || draft.isSaved) return;
    draft.flush().catch(() => {});
    event.preventDefault();
  });
}
