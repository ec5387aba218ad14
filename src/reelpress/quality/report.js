// The report of a comparison: stepping along the curve, and the slider between two frames. Without it everything is
// there all the same: the curve stands still, and frames are side by side.

(() => {
  const root = document.documentElement;
  root.classList.add("slides");

  const clock = (seconds) => {
    const hundredths = Math.round(seconds * 100);
    const minutes = Math.floor(hundredths / 6000);
    const rest = ((hundredths % 6000) / 100).toFixed(2).padStart(5, "0");
    return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
  };

  const data = document.getElementById("curves");
  if (data) {
    const { end, series } = JSON.parse(data.textContent);
    const chart = document.getElementById("chart");
    const time = document.getElementById("time");
    const reading = document.getElementById("reading");
    document.getElementById("cursor").hidden = false;

    const nearest = (points, at) => points.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a));
    const show = (part) => {
      const at = part * end;
      chart.classList.add("stepping");
      for (const svg of chart.querySelectorAll("svg")) {
        const { left, right } = svg.dataset;
        const x = Number(left) + part * (Number(right) - Number(left));
        const hand = svg.querySelector(".hand");
        hand.setAttribute("x1", x);
        hand.setAttribute("x2", x);
      }
      const told = series.map(({ name, points }) => {
        const [t, v] = nearest(points, at);
        return `${name} ${Math.abs(t - at) > Math.max(0.5, end / 400) ? "not scored here" : v.toFixed(1)}`;
      });
      reading.textContent = `${clock(at)}: ${told.join(", ")}`;
      time.setAttribute("aria-valuetext", reading.textContent);
    };
    time.addEventListener("input", () => show(time.value / 1000));
    for (const svg of chart.querySelectorAll("svg")) {
      svg.addEventListener("pointermove", (event) => {
        const box = svg.getBoundingClientRect();
        const { left, right } = svg.dataset;
        const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
        const part = Math.min(1, Math.max(0, (x - left) / (right - left)));
        time.value = Math.round(part * 1000);
        show(part);
      });
    }
  }

  for (const pairs of document.querySelectorAll(".pairs")) {
    pairs.querySelector(".choose input").addEventListener("change", (event) => {
      pairs.classList.toggle("beside", event.target.checked);
    });
    for (const pair of pairs.querySelectorAll(".pair")) {
      const views = pair.querySelector(".views");
      const slider = pair.querySelector(".split input");
      const set = (percent) => {
        views.style.setProperty("--split", `${percent}%`);
        slider.setAttribute("aria-valuetext", `reference up to ${Math.round(percent)} percent of the width, the encode from there`);
      };
      slider.addEventListener("input", () => set(slider.value));
      const drag = (event) => {
        if (pairs.classList.contains("beside")) return;
        const box = views.getBoundingClientRect();
        slider.value = Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100));
        set(slider.value);
      };
      views.addEventListener("pointerdown", (event) => {
        views.setPointerCapture(event.pointerId);
        drag(event);
      });
      views.addEventListener("pointermove", (event) => {
        if (event.buttons & 1) drag(event);
      });
      views.addEventListener("dragstart", (event) => event.preventDefault());
    }
  }
})();
