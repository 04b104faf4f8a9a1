"use strict";

// The slider of an example moves the edge between clean and adversarial in all its pictures; so does dragging over one.
for (const example of document.querySelectorAll(".example")) {
  const slider = example.querySelector("input");
  const cut = () => example.style.setProperty("--cut", `${slider.value}%`);
  slider.addEventListener("input", cut);
  cut(); // browsers keep a slider's value when a page is loaded again
  for (const stack of example.querySelectorAll(".stack")) {
    const follow = (event) => {
      const frame = stack.getBoundingClientRect();
      slider.value = (100 * (event.clientX - frame.left)) / frame.width;
      cut();
    };
    stack.addEventListener("pointerdown", (event) => {
      stack.setPointerCapture(event.pointerId);
      follow(event);
    });
    stack.addEventListener("pointermove", (event) => {
      if (event.buttons) follow(event);
    });
  }
}

// A click on a column's title sorts by it, a second click the other way round; cells without a value stay last.
for (const button of document.querySelectorAll(".sortable button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const table = head.closest("table");
    const column = [...head.parentElement.children].indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => {
      const cell = row.cells[column];
      return { row, value: cell.tagName === "TH" ? cell.textContent : parseFloat(cell.dataset.value) };
    });
    const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    rows.sort((a, b) => {
      const missing = Number.isNaN(a.value) - Number.isNaN(b.value);
      return missing || (down ? order(b.value, a.value) : order(a.value, b.value));
    });
    table.tBodies[0].append(...rows.map(({ row }) => row));
  });
}

// The pointer over a chart shows the values of all lines there.
for (const chart of document.querySelectorAll("svg[data-chart]")) {
  const [low, high, left, right] = chart.dataset.x.split(" ").map(Number);
  const lines = [...chart.querySelectorAll(".line")].map((line) => ({
    label: line.dataset.label,
    run: [...line.classList].find((name) => name.startsWith("run-")),
    points: line.dataset.values.split(" ").map((pair) => pair.split(",").map(Number)),
  }));
  const values = document.createElement("div");
  values.className = "values";
  const cursor = chart.querySelector(".axes line").cloneNode();
  cursor.setAttribute("class", "cursor");

  const hide = () => {
    values.remove();
    cursor.remove();
  };
  const show = (event) => {
    const frame = chart.getBoundingClientRect();
    const place = ((event.clientX - frame.left) / frame.width) * chart.viewBox.baseVal.width;
    const step = low + ((high - low) * (place - left)) / (right - left);
    if (step < low || step > high) return hide();
    const nearest = lines.map(({ points }) =>
      points.reduce((best, point) => (Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best)),
    );
    const steps = nearest.map(([x]) => x);
    const at = steps.reduce((best, x) => (Math.abs(x - step) < Math.abs(best - step) ? x : best));
    const entry = (text, run) => Object.assign(document.createElement("div"), { textContent: text, className: run });
    const shown = lines.map(({ label, run }, i) => {
      const where = steps[i] === at ? "" : ` (step ${Math.round(steps[i])})`;
      return entry(`${label}: ${nearest[i][1]}${where}`, run);
    });
    values.replaceChildren(entry(`step ${Math.round(at)}`, ""), ...shown);
    const x = left + ((right - left) * (at - low)) / (high - low);
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 12, y2: chart.viewBox.baseVal.height - 36 })) {
      cursor.setAttribute(name, value);
    }
    chart.append(cursor);
    const figure = chart.parentElement;
    figure.append(values);
    const outer = figure.getBoundingClientRect();
    const edge = event.clientX - outer.left;
    values.style.top = `${frame.top - outer.top}px`;
    values.style.left = `${Math.max(0, edge > figure.clientWidth / 2 ? edge - values.offsetWidth - 12 : edge + 12)}px`;
  };
  chart.addEventListener("pointermove", show);
  chart.addEventListener("pointerdown", show);
  chart.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") hide(); // a tap shows them until the next one elsewhere
  });
  document.addEventListener("pointerdown", (event) => {
    if (!chart.contains(event.target)) hide();
  });
}
