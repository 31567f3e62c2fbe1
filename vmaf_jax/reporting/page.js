"use strict";
// Hover and keys for figures that were drawn already: without this the page lacks nothing else.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const sets = {};
  for (const element of document.querySelectorAll("script[data-set]")) {
    sets[element.dataset.set] = JSON.parse(element.textContent);
  }
  const fixed = (value, digits) => value.toFixed(digits).replace("-", "\u2212");
  const signed = (value) => (value > 0 ? "+" : "") + fixed(value, 3);

  function activate(figure) {
    const set = sets[figure.dataset.of];
    const svg = figure.querySelector("svg");
    const output = figure.querySelector("output");
    const [x0, x1, y0, y1, width, height, left, right, top, bottom] = figure.dataset.frame
      .split(" ").map(Number);
    const values = set[figure.dataset.y];
    const px = set.t.map((t) => left + ((t - x0) / (x1 - x0)) * (width - left - right));
    const py = values.map((v) => height - bottom - ((v - y0) / (y1 - y0)) * (height - top - bottom));
    const order = set.t.map((_, k) => k).sort((a, b) => set.t[a] - set.t[b] || a - b);
    const resting = output.textContent;
    let at = -1;
    let chosen = -1; // a source's number

    const cursor = document.createElementNS(SVG, "circle");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("r", "7");
    cursor.setAttribute("visibility", "hidden");
    const pick = document.createElementNS(SVG, "path");
    pick.setAttribute("class", "pick");
    svg.append(pick, cursor);

    function show(k) {
      cursor.setAttribute("visibility", k < 0 ? "hidden" : "visible");
      if (k < 0) {
        output.textContent = resting;
        return;
      }
      cursor.setAttribute("cx", px[k]);
      cursor.setAttribute("cy", py[k]);
      output.textContent =
        `${set.clips[set.c[k]]} of ${set.sources[set.s[k]]}, ${figure.dataset.index} ${set.i[k]}, ` +
        `seed ${set.seed[k]}: label ${fixed(set.t[k], 3)}, student ${fixed(set.p[k], 3)} ` +
        `(${signed(set.e[k])})`;
    }

    function nearest(event) {
      const place = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse());
      let best = -1;
      let least = 24 * 24;
      for (let k = 0; k < px.length; k++) {
        if (chosen >= 0 && set.s[k] !== chosen) continue;
        const distance = (px[k] - place.x) ** 2 + (py[k] - place.y) ** 2;
        if (distance < least) [least, best] = [distance, k];
      }
      return best;
    }

    svg.addEventListener("pointermove", (event) => show(nearest(event)));
    svg.addEventListener("pointerdown", (event) => show(nearest(event)));
    svg.addEventListener("pointerleave", () => show(-1));
    figure.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 25, PageUp: -25 };
      const sequence = chosen < 0 ? order : order.filter((k) => set.s[k] === chosen);
      if (event.key === "Escape") at = -1;
      else if (event.key === "Home") at = 0;
      else if (event.key === "End") at = sequence.length - 1;
      else if (event.key in steps) {
        at = Math.min(Math.max(at + steps[event.key], 0), sequence.length - 1);
      } else return;
      event.preventDefault();
      show(at < 0 ? -1 : sequence[at]);
    });
    return (source) => {
      chosen = source;
      at = -1;
      show(-1);
      figure.classList.toggle("chosen", source >= 0);
      const dots = px.map((x, k) => (set.s[k] === source ? `M${x} ${py[k]}h0` : ""));
      pick.setAttribute("d", dots.join(""));
    };
  }

  const choosers = {};
  for (const figure of document.querySelectorAll("figure[data-of]")) {
    (choosers[figure.dataset.of] ??= []).push(activate(figure));
  }
  for (const select of document.querySelectorAll("select[data-of]")) {
    const set = sets[select.dataset.of];
    set.sources.map((name, k) => [name, k]).sort((a, b) => (a[0] < b[0] ? -1 : 1))
      .forEach(([name, k]) => select.add(new Option(name, k)));
    select.addEventListener("change", () => {
      choosers[select.dataset.of].forEach((choose) => choose(Number(select.value)));
    });
    select.closest(".controls").hidden = false;
  }
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));
})();
