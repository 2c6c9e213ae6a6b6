// Draws the charts of the start page. The numbers stand in the page as JSON, and beside each chart in a table, which is
// folded away only once the chart is there. Colours are the design's tokens, so they follow light and dark.
"use strict";

const drawn = [];

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function dataset(series) {
  const colour = token(series.tone);
  const isBar = series.type === "bar";
  return {
    type: series.type,
    label: series.label,
    data: series.data,
    borderColor: colour,
    backgroundColor: colour,
    borderWidth: isBar ? 0 : 2,
    borderRadius: isBar ? 3 : 0,
    pointRadius: isBar ? 0 : 2.5,
    pointHitRadius: 12,
    tension: 0.25,
    spanGaps: true,
    order: isBar ? 2 : 1,
    maxBarThickness: 26,
  };
}

function limit(line, points) {
  return {
    type: "line",
    label: line.label,
    data: Array(points).fill(line.at),
    borderColor: token(line.tone),
    backgroundColor: token(line.tone),
    borderWidth: 1.5,
    borderDash: [6, 4],
    pointRadius: 0,
    pointHitRadius: 0,
    order: 3,
  };
}

function draw(area) {
  const shapes = JSON.parse(document.getElementById(area.dataset.chart).textContent);
  const figure = area.closest("figure");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", figure.querySelector("figcaption").textContent.trim().replace(/\s+/g, " "));
  area.replaceChildren(canvas);
  area.hidden = false;
  const language = document.documentElement.lang;
  const unit = shapes.unit ? (shapes.unit === "%" ? "%" : ` ${shapes.unit}`) : "";
  const words = (value) => (value === null ? "—" : value.toLocaleString(language, { maximumFractionDigits: 2 }) + unit);
  const lines = shapes.lines || [];
  const grid = { color: token("line"), drawTicks: false };
  const ticks = { color: token("ink-3"), padding: 6 };
  drawn.push(
    new Chart(canvas, {
      data: {
        labels: shapes.labels,
        datasets: [...shapes.series.map(dataset), ...lines.map((line) => limit(line, shapes.labels.length))],
      },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        onClick: (event, found) => found.length && (location.href = shapes.urls[found[0].index]),
        onHover: (event, found) => (event.native.target.style.cursor = found.length ? "pointer" : "default"),
        scales: {
          x: { grid: { display: false }, border: { color: token("line") }, ticks: { ...ticks, maxRotation: 0, autoSkipPadding: 12 } },
          y: {
            type: shapes.scale || "linear",
            beginAtZero: true,
            suggestedMax: shapes.unit === "%" ? 2 : undefined,
            grid,
            border: { display: false },
            ticks: { ...ticks, maxTicksLimit: 6, callback: words },
          },
        },
        plugins: {
          legend: { position: "bottom", align: "start", labels: { color: token("ink-2"), boxWidth: 14, boxHeight: 3 } },
          tooltip: {
            filter: (item) => item.datasetIndex < shapes.series.length,
            callbacks: {
              title: (items) => (items.length ? shapes.names[items[0].dataIndex] : ""),
              label: (item) => `${item.dataset.label}: ${words(item.raw)}`,
            },
          },
        },
      },
    }),
  );
}

function drawAll() {
  drawn.splice(0).forEach((chart) => chart.destroy());
  Chart.defaults.font.family = token("font");
  document.querySelectorAll("[data-chart]").forEach(draw);
}

if (window.Chart) {
  drawAll();
  document.querySelectorAll("[data-chart-table]").forEach((table) => (table.open = false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
}
