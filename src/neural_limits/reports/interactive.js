"use strict";
// Ties a page's native controls to its plotly figures. All text comes from the JSON block; none is read as markup.
(() => {
  const ROWS = 2000;
  const NAMED = { diverged: "diverged", absent: "no result" };
  const SIGNS = { diverged: "×", absent: "○", dashed: "╌" };
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const digits = (value) => (typeof value === "number" ? String(Number(value.toPrecision(5))) : String(value));

  const words = (picture, series, i) => {
    const at = `${picture.x.label} ${digits(series.x[i])}`;
    const value = series.look in NAMED ? NAMED[series.look] : `${picture.y.label} ${digits(series.y[i])}`;
    return [series.name, at, value, series.notes && series.notes[i]].filter(Boolean);
  };

  const symbol = (series) => {
    if (series.hollow) return series.hollow.map((open) => (open ? "circle-open" : "circle"));
    return { diverged: "x-thin-open", absent: "circle-open" }[series.look] || "circle";
  };

  const trace = (picture, series) => {
    const mark = series.look in NAMED;
    const found = {
      type: "scatter", x: series.x, y: series.y,
      name: plain(series.name),
      hovertext: series.x.map((_, i) => words(picture, series, i).map(plain).join("<br>")),
      hoverinfo: "text",
      mode: mark || series.look === "points" ? "markers" : series.look === "dashed" || series.x.length > 25 ? "lines" : "lines+markers",
      line: { color: series.colour, width: 2, dash: series.look === "dashed" ? "dash" : "solid" },
      marker: { color: series.colour, size: mark ? 10 : 7, symbol: symbol(series), line: { width: mark || series.hollow ? 2 : 0, color: series.colour } },
      connectgaps: false, cliponaxis: !mark,
    };
    if (series.low) {
      const gap = (ends, sign) => ends.map((end, i) => (end === null || series.y[i] === null ? 0 : sign * (end - series.y[i])));
      found.error_y = { type: "data", symmetric: false, array: gap(series.high, 1), arrayminus: gap(series.low, -1), thickness: 1, width: 3, color: series.colour };
    }
    return found;
  };

  const axis = (spec) => {
    const text = spec.label && plain(spec.label);
    const found = { title: { text, standoff: 8 }, automargin: true, gridcolor: "#E6E6E6", linecolor: "#7F7F7F", zeroline: false, type: spec.log ? "log" : "-", exponentformat: "power" };
    if (spec.ticks.length) Object.assign(found, { tickvals: spec.ticks, ticktext: spec.ticks.map(String) });
    return found;
  };

  // A legend whose entries are buttons: a line can be hidden by keyboard, and many entries wrap on a narrow screen.
  const legend = (plot, drawn, list) => {
    list.replaceChildren();
    for (const name of new Set(drawn.map((series) => series.name))) {
      const own = drawn.flatMap((series, curve) => (series.name === name ? [curve] : []));
      const button = list.appendChild(document.createElement("li")).appendChild(document.createElement("button"));
      const sign = button.appendChild(document.createElement("span"));
      sign.textContent = SIGNS[drawn[own[0]].look === "dashed" ? "dashed" : ""] || "●";
      sign.style.color = drawn[own[0]].colour;
      sign.setAttribute("aria-hidden", "true");
      button.append(` ${name}`);
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(shown));
        Plotly.restyle(plot, { visible: shown }, own);
      });
    }
    for (const look of Object.keys(NAMED)) {
      if (drawn.some((series) => series.look === look)) list.appendChild(document.createElement("li")).textContent = `${SIGNS[look]} ${NAMED[look]}`;
    }
  };

  const tabulate = (picture, drawn, box) => {
    const table = document.createElement("table");
    const row = (parent, tag, cells) => {
      const line = parent.appendChild(document.createElement("tr"));
      for (const cell of cells) line.appendChild(document.createElement(tag)).textContent = cell;
    };
    row(table.createTHead(), "th", [picture.series || "series", picture.x.label, picture.y.label, "remark"]);
    const body = table.createTBody();
    let count = 0;
    for (const series of drawn) {
      series.x.forEach((x, i) => {
        if (series.y[i] === null || count++ >= ROWS) return;
        const value = series.look in NAMED ? NAMED[series.look] : digits(series.y[i]);
        row(body, "td", [series.name, digits(x), value, (series.notes && series.notes[i]) || ""]);
      });
    }
    if (count > ROWS) row(body, "td", ["…", "", "", `${count - ROWS} more`]);
    box.replaceChildren(table);
  };

  const show = (picture) => {
    const figure = document.getElementById(picture.name);
    const plot = figure.querySelector(".plot");
    const said = figure.querySelector(".said");
    const picks = [...figure.querySelectorAll("select")];
    const details = figure.querySelector("details");
    const coarse = matchMedia("(pointer: coarse)").matches;
    let drawn = [];
    let at = -1; // the point that arrow keys stand on

    const points = () => drawn.flatMap((series, curve) => series.x.map((_, i) => [series, curve, i])).filter(([s, curve, i]) => s.y[i] !== null && plot.data[curve].visible !== false);
    const layout = () => ({
      font: { family: "system-ui, sans-serif", size: 13, color: "#1b1f24" }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
      margin: { l: 56, r: 14, t: 20, b: 60 }, xaxis: axis(picture.x), yaxis: axis(picture.y), hovermode: "closest",
      dragmode: coarse ? false : "zoom", // a finger scrolls the page
      showlegend: false, hoverlabel: { align: "left" },
    });
    const draw = () => {
      drawn = picture.views[picks.map((pick) => pick.value).join(",")] || [];
      at = -1;
      said.textContent = drawn.length ? "" : "Nothing to draw for this choice.";
      const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"], displayModeBar: coarse ? false : "hover" };
      const shape = layout();
      if (drawn.some((series) => typeof series.x[0] === "string")) shape.xaxis.type = "category";
      Plotly.react(plot, drawn.map((series) => trace(picture, series)), shape, config);
      legend(plot, drawn, figure.querySelector(".key"));
      if (details.open) tabulate(picture, drawn, details.querySelector(".scroll"));
    };
    const zoom = (how) => {
      if (how === "all") return Plotly.relayout(plot, { "xaxis.autorange": true, "yaxis.autorange": true });
      const factor = how === "in" ? 0.5 : 2;
      const ranges = {};
      for (const name of ["xaxis", "yaxis"]) {
        const [low, high] = plot._fullLayout[name].range.map(Number);
        const middle = (low + high) / 2;
        ranges[`${name}.range`] = [middle + (low - middle) * factor, middle + (high - middle) * factor];
      }
      return Plotly.relayout(plot, ranges);
    };

    for (const pick of picks) pick.addEventListener("change", draw);
    for (const button of figure.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(button.dataset.zoom));
    details.addEventListener("toggle", () => details.open && tabulate(picture, drawn, details.querySelector(".scroll")));
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const all = points();
      if (!step || !all.length) return;
      event.preventDefault();
      at = at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length;
      const [series, curve, i] = all[at];
      said.textContent = words(picture, series, i).join("; ");
      Plotly.Fx.hover(plot, [{ curveNumber: curve, pointNumber: i }]);
    });
    draw();
    if (!drawn.length && picks.length) { // the first choice may hold nothing
      const first = Object.keys(picture.views)[0].split(",");
      picks.forEach((pick, i) => { pick.value = first[i]; });
      draw();
    }
  };

  for (const picture of JSON.parse(document.getElementById("numbers").textContent)) show(picture);
})();
