// The clip's page: what is under the pointer or at the arrow keys, and the pictures of that frame.
(() => {
  const source = document.querySelector("script[data-clip]");
  if (!source) return;
  const clip = JSON.parse(source.textContent);
  const figure = document.querySelector("#time");
  const svg = figure.querySelector("svg[role=img]");
  const said = figure.querySelector("output");
  const resting = said.textContent;
  const [x0, x1, , , width, height, left, right, top, bottom] = clip.frame;
  const columns = clip.encodes[0];
  const here = document.createElementNS("http://www.w3.org/2000/svg", "path");
  here.setAttribute("class", "here");
  svg.append(here);

  const across = (frame) => left + ((frame - x0) / (x1 - x0)) * (width - left - right);
  const fixed = (value) => value.toFixed(2);
  function when(frame) {
    if (!clip.rate) return `frame ${frame}`;
    const seconds = (frame + clip.start) / clip.rate;
    const minutes = Math.floor(seconds / 60);
    const rest = (seconds - 60 * minutes).toFixed(2);
    return `frame ${frame} (${minutes ? `${minutes}:${rest.padStart(5, "0")}` : `${rest} s`})`;
  }
  // The column of an encode that a frame is in, or the last before it.
  function column(encode, frame) {
    let low = 0;
    let high = encode.first.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (encode.first[middle] <= frame) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function describe(frame) {
    const k = column(columns, frame);
    const name = columns.first[k] === columns.last[k]
      ? when(columns.first[k]) : `frames ${columns.first[k]} to ${columns.last[k]}`;
    const scores = clip.encodes.map((encode, number) => {
      const j = column(encode, frame);
      const low = encode.first[j] === encode.last[j]
        ? "" : `, lowest ${fixed(encode.low[j])} at ${encode.lowest[j]}`;
      return `${number + 1}: ${encode.name} ${fixed(encode.mean[j])}${low}`;
    });
    const cut = clip.cuts.includes(columns.first[k]) ? ", a scene cut" : "";
    return `${name}${cut}. ${scores.join("; ")}`;
  }

  const pair = document.querySelector("#pair");
  const stage = pair && pair.querySelector(".stage");
  const pictures = {}; // by frame and encode: a picture, with the box of a region over it
  for (const image of document.querySelectorAll("img[data-frame]")) {
    (pictures[image.dataset.frame] ??= {})[image.dataset.which] = image.parentElement;
  }
  const at = document.querySelector("#at");
  const which = document.querySelector("#which");
  const feature = document.querySelector("#feature");
  const way = () => pair.querySelector("input[name=way]:checked").value;

  function shot(frame, number, caption) {
    const box = document.createElement("div");
    box.className = "shot";
    const picture = pictures[frame][number].cloneNode(true);
    const image = picture.querySelector("img");
    delete image.dataset.frame;
    image.alt = `${when(frame)}: ${caption}`;
    const words = document.createElement("span");
    words.textContent = caption;
    box.append(picture, words);
    return box;
  }
  // A picture with a map over it, and the map in words.
  function mapped(frame, number, caption) {
    const [source, words] = clip.encodes[number].maps[frame]?.[feature.value] ?? [];
    const box = shot(frame, number, caption);
    if (!source) return [box, "no map of this frame; the worst frames have one"];
    const heat = new Image();
    heat.className = "heat";
    heat.src = source;
    heat.alt = `${feature.selectedOptions[0].text}: ${words}`;
    box.firstChild.querySelector("img").after(heat);
    return [box, words];
  }
  function show() {
    if (!pair) return;
    const frame = clip.pictures[Number(at.value)];
    const chosen = Number(which.value);
    const caption = (k) => `${k + 1}: ${clip.encodes[k].name}, ${fixed(clip.encodes[k].at[frame])}`;
    stage.className = `stage ${way()}`;
    let said;
    if (way() === "map") {
      const [box, words] = mapped(frame, chosen, caption(chosen));
      stage.replaceChildren(box);
      said = `${caption(chosen)}; ${feature.selectedOptions[0].text}: ${words}.`;
      document.querySelector("p.heat b").textContent = feature.selectedOptions[0].dataset.most;
    } else {
      const numbers = way() === "side" ? clip.encodes.map((_, k) => k) : [chosen];
      stage.replaceChildren(
        shot(frame, -1, "reference"), ...numbers.map((k) => shot(frame, k, caption(k))));
      const sides = { wipe: "Left: the reference, right: ", difference: "Reference less " };
      said = way() === "side" ? "" : sides[way()] + caption(chosen);
    }
    which.parentElement.hidden = clip.encodes.length < 2 || way() === "side";
    document.querySelector("#wiping").hidden = way() !== "wipe";
    document.querySelector("#differing").hidden = way() !== "difference";
    if (feature) document.querySelector("#mapping").hidden = way() !== "map";
    const boxed = clip.encodes.filter((encode) => encode.region?.frame === frame)
      .map((encode) => ` Boxed, the worst region of ${encode.name}: ${encode.region.words}.`);
    pair.querySelector("output").textContent =
      `${when(frame)}. ${said}${["side", "map"].includes(way()) ? boxed.join("") : ""}`;
  }
  function pictured(frame) {
    if (!pair) return;
    let best = 0;
    clip.pictures.forEach((picture, k) => {
      if (Math.abs(picture - frame) < Math.abs(clip.pictures[best] - frame)) best = k;
    });
    if (Number(at.value) !== best) {
      at.value = best;
      show();
    }
  }

  let position = -1; // a column's number
  function go(k) {
    position = k;
    here.setAttribute("visibility", k < 0 ? "hidden" : "visible");
    if (k < 0) {
      said.textContent = resting;
      return;
    }
    const frame = columns.first[k];
    const middle = (frame + columns.last[k]) / 2;
    here.setAttribute("d", `M${across(middle)} ${top}V${height - bottom}`);
    said.textContent = describe(frame);
    pictured(frame);
  }
  function under(event) {
    const place = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const frame = x0 + ((place.x - left) / (width - left - right)) * (x1 - x0);
    go(column(columns, Math.round(Math.min(Math.max(frame, x0), x1))));
  }
  svg.addEventListener("pointermove", under);
  svg.addEventListener("pointerdown", under);
  figure.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 25, PageUp: -25 };
    const last = columns.first.length - 1;
    if (event.key === "Escape") go(-1);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(last);
    else if (event.key in steps) go(Math.min(Math.max(position + steps[event.key], 0), last));
    else return;
    event.preventDefault();
  });
  if (!pair) return;
  pair.hidden = false;
  stage.style.setProperty("--across", `${clip.extent[0]}%`);
  stage.style.setProperty("--down", `${clip.extent[1]}%`);
  feature?.addEventListener("change", show);
  at.addEventListener("input", show);
  which.addEventListener("change", show);
  for (const radio of pair.querySelectorAll("input[name=way]")) radio.addEventListener("change", show);
  document.querySelector("#wipe").addEventListener("input", (event) => {
    stage.style.setProperty("--wipe", `${event.target.value}%`);
  });
  for (const button of document.querySelectorAll("button[data-show]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      pictured(Number(button.dataset.show));
      pair.scrollIntoView();
      at.focus();
    });
  }
  const first = document.querySelector("#worst button[data-show]");
  if (first) pictured(Number(first.dataset.show));
  show();
})();
