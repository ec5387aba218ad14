// The scheme the reader chose, if any. Runs before the page is drawn, so that nothing flashes.

(() => {
  const chosen = localStorage.getItem("reelpress-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
