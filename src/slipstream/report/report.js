"use strict";
// Draws the charts in the page's own colours, and works the few buttons. Values come as JSON.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const values = JSON.parse(document.getElementById("chart-values").textContent);
  const state = { metric: 0, axis: "linear" };
  const dashes = ["dot", "dash", "solid", "longdash", "dashdot", "longdashdot"];
  const symbols = ["circle", "diamond", "circle", "square", "triangle-up", "cross"];

  // A custom property with light-dark() is only resolved where it is used: ask a probe.
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const isNarrow = () => window.innerWidth < 640;

  function layout(x, y) {
    const axis = {
      gridcolor: colour("grid"), linecolor: colour("rule"), zeroline: false, ticks: "",
      tickfont: { color: colour("soft") }, automargin: true,
    };
    const title = (text) => ({ text, font: { color: colour("soft"), size: 13 }, standoff: 12 });
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
      margin: { l: isNarrow() ? 8 : 16, r: isNarrow() ? 8 : 20, t: 16, b: 8 },
      showlegend: false, hovermode: "closest", dragmode: isNarrow() ? false : "zoom",
      hoverlabel: {
        bgcolor: colour("raised"), bordercolor: colour("rule"), align: "left",
        font: { color: colour("ink"), size: 12 },
      },
      xaxis: { ...axis, showline: true, ...x, title: title(x.title) },
      yaxis: { ...axis, ...y, title: title(isNarrow() ? "" : y.title) },
    };
  }
  const options = { responsive: true, displayModeBar: false, doubleClick: "reset+autosize" };

  function side(slot) {
    return slot === null ? colour("soft") : colour(`side-${slot}`);
  }

  function runTraces(chart, contestant, run, name, isMonitor) {
    const paint = side(contestant.slot);
    const who = `${contestant.label}, seed ${run.seed}${run.failed ? " (failed)" : ""}`;
    const hover = `${who}<br>${name} %{y:.5~g}<br>%{x:.4~g} ${chart.unit}, epoch %{customdata:.3~g}<extra></extra>`;
    const traces = [{
      x: run.x, y: run.y[state.metric], customdata: run.epoch, type: "scatter",
      mode: run.x.length > 1 ? "lines" : "markers", hovertemplate: hover, opacity: 0.85,
      line: { color: paint, width: contestant.slot === 2 ? 2.25 : 1.75, dash: dashes[contestant.slot] },
      marker: { color: paint, size: 7, symbol: symbols[contestant.slot] },
    }];
    if (isMonitor && run.hit) {
      traces.push({
        x: [run.hit[0]], y: [run.hit[1]], type: "scatter", mode: "markers",
        hovertemplate: `${who}<br>target met after %{x:.4~g} ${chart.unit}<extra></extra>`,
        marker: { size: 10, color: colour("page"), symbol: symbols[contestant.slot], line: { color: paint, width: 2.25 } },
      });
    }
    if (run.failed && run.x.length) {
      traces.push({
        x: run.x.slice(-1), y: run.y[state.metric].slice(-1), type: "scatter", mode: "markers",
        hovertemplate: `${who}<extra></extra>`, marker: { size: 9, color: paint, symbol: "x" },
      });
    }
    return traces;
  }

  function drawCurves() {
    const chart = values.curves;
    const metric = chart.metrics[state.metric];
    const isMonitor = state.metric === 0;
    const traces = chart.sides.flatMap((contestant) =>
      contestant.runs.flatMap((run) => runTraces(chart, contestant, run, metric.name, isMonitor)));
    const page = layout(
      { title: `wall-clock time, ${chart.unit}`, type: state.axis, ...(state.axis === "linear" ? { rangemode: "tozero" } : {}) },
      { title: metric.name, ...(metric.range ? { range: [...metric.range] } : {}) },
    );
    if (isMonitor && chart.target !== null) {
      page.shapes = [{
        type: "line", xref: "paper", x0: 0, x1: 1, y0: chart.target, y1: chart.target,
        line: { color: colour("ink"), width: 1.25, dash: "4px,4px" },
      }];
      page.annotations = [{
        text: chart.target_label, xref: "paper", x: 0, xanchor: "left", y: chart.target,
        yanchor: "bottom", showarrow: false, font: { color: colour("ink"), size: 12 }, bgcolor: colour("page"),
      }];
    }
    Plotly.react("chart-curves", traces, page, options);
  }

  function drawPareto() {
    const chart = values.pareto;
    const front = {
      x: chart.front.map((spot) => spot[0]), y: chart.front.map((spot) => spot[1]), type: "scatter",
      mode: "lines", line: { color: colour("soft"), width: 1.25, shape: "hv", dash: "dot" }, hoverinfo: "skip",
    };
    const groups = chart.groups.map((group) => ({
      x: group.spots.map((spot) => spot.x), y: group.spots.map((spot) => spot.y),
      text: group.spots.map((spot) => spot.label), type: "scatter", mode: "markers",
      hovertemplate: "%{text}<br>%{y:.5~g} after %{x:.4~g} s<extra></extra>",
      marker: group.slot === null
        ? { size: 7, color: "rgba(0,0,0,0)", line: { color: colour("soft"), width: 1.4 } }
        : { size: 10, color: side(group.slot), symbol: symbols[group.slot], line: { color: colour("page"), width: 1.25 } },
    }));
    Plotly.react("chart-pareto", [front, ...groups],
      layout({ title: "seconds to target", type: "log" }, { title: `best ${chart.metric}` }), options);
  }

  function draw() {
    if (values.curves) drawCurves();
    if (values.pareto) drawPareto();
  }

  function press(button) {
    for (const other of button.parentElement.children) {
      other.setAttribute("aria-pressed", String(other === button));
    }
  }
  for (const button of document.querySelectorAll("[data-metric]")) {
    button.addEventListener("click", () => { state.metric = Number(button.dataset.metric); press(button); draw(); });
  }
  for (const button of document.querySelectorAll("[data-axis]")) {
    button.addEventListener("click", () => { state.axis = button.dataset.axis; press(button); draw(); });
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) { button.remove(); continue; }
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "copied";
      } catch {
        button.textContent = "not allowed";
      }
    });
  }

  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
    root.dataset.theme = isDark ? "light" : "dark";
    draw();
  });
  prefersDark.addEventListener("change", draw);
  // On paper everything is light and nothing is folded away.
  window.matchMedia("print").addEventListener("change", draw);
  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
  draw();
})();
