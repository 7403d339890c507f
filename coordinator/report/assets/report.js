// Draws the charts of a report from the data in the page, and filters its list of findings. It fetches nothing.
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("chart-data").textContent);
  const places = [...document.querySelectorAll(".chart[data-chart]")];
  const chartOf = (place) => charts[Number(place.dataset.chart)];
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

  // Reserve the height of each chart, so that the page does not move while charts are drawn.
  for (const place of places) place.style.height = `${chartOf(place).layout.height}px`;

  const waiting = [...places];
  const drawNext = () => {
    const place = waiting.shift();
    if (!place) return false;
    const { data, layout } = chartOf(place);
    Plotly.newPlot(place, data, layout, config);
    return true;
  };
  const drawAll = () => {
    if (drawNext()) setTimeout(drawAll, 0);
    else document.documentElement.dataset.charts = "drawn";
  };
  drawAll();

  // Paper is narrower than most windows.
  const fit = (width) => {
    while (drawNext());
    for (const place of places) Plotly.relayout(place, { width, autosize: width === null });
  };
  window.addEventListener("beforeprint", () => fit(680));
  window.addEventListener("afterprint", () => fit(null));

  // A link to a guide opens it.
  const openTarget = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  window.addEventListener("hashchange", openTarget);
  openTarget();

  const filter = document.getElementById("filter");
  const rows = [...document.querySelectorAll("#findings-table tbody tr")];
  if (filter) {
    filter.hidden = false;
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }
})();
