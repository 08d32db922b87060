"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#a65628",
    "#66a61e", "#e7298a", "#1b9e9e", "#b2182b", "#7f7f00", "#4575b4", "#f781bf", "#5e4fa2", "#f4a261",
    "#74a9cf", "#b58bc9", "#3f7d20"];
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const LISTED = 50, REACH = 14, MOST_SCALE = 400;

  // ---- data -------------------------------------------------------------------------------------
  const bytesOf = (text) => {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return bytes;
  };
  const inflated = async (bytes) =>
    new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const TYPES = {uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array, float32: Float32Array};
  let data, arrays = {};
  try {
    const block = await inflated(bytesOf($("data").textContent.trim()));
    const length = new DataView(block).getUint32(0, true);
    data = JSON.parse(new TextDecoder().decode(new Uint8Array(block, 4, length)));
    for (const [name, type, at, size] of data.arrays) arrays[name] = new TYPES[type](block, 4 + length + at, size);
  } catch (error) {
    $("about").textContent = "This page is damaged, or the browser is too old: " + error.message;
    return;
  }
  const n = data.count, k = data.neighbours;
  const X = Float32Array.from(arrays.x, (v) => v / 65535), Y = Float32Array.from(arrays.y, (v) => 1 - v / 65535);
  const timed = Boolean(arrays.start);
  const nameOf = (i) => data.folder + data.names[arrays.file[i]];
  const shortOf = (i) => data.names[arrays.file[i]] + timeOf(i);
  const timeOf = (i) => timed ? ` @ ${clock(arrays.start[i])}` : "";
  const clock = (s) => {
    const whole = Math.floor(s + 1e-4), rest = s - whole > 0.005 ? (s - whole).toFixed(2).slice(1) : "";
    const two = (v) => String(v).padStart(2, "0"), h = Math.floor(whole / 3600);
    return (h ? h + ":" + two(Math.floor(whole / 60) % 60) : Math.floor(whole / 60)) + ":" + two(whole % 60) + rest;
  };
  const previews = (() => {
    const text = $("previews").textContent, found = [];
    for (let at = 0; at + 8 <= text.length;) {
      const size = Number(text.slice(at, at + 8)), end = at + 8 + 4 * Math.ceil(size / 3);
      found.push([at + 8, end]);
      at = end;
    }
    return (i) => found[i] && found[i][1] > found[i][0] ? bytesOf(text.slice(...found[i])) : null;
  })();
  const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
  $("about").textContent = `${counted(n, timed ? "window" : "clip")}${timed ? " of " + counted(data.names.length, "file") : ""}, ${data.method}`;

  // ---- state ------------------------------------------------------------------------------------
  const view = {zoom: 1, x: 0.5, y: 0.5};
  let colouring = 0, off = new Set(), current = -1, hovered = -1, walk = -1;
  let matches = null, selection = null, outline = null, lassoing = false;
  let palette = new Uint32Array(0), codes = new Int32Array(n), background = 0, none = 0;
  const order = (() => {  // a fixed shuffled order, so that no class lies on top of all others
    const found = new Uint32Array(n);
    let step = Math.max(1, Math.floor(n * 0.618));
    const gcd = (a, b) => b ? gcd(b, a % b) : a;
    while (gcd(step, n) !== 1) step++;
    for (let i = 0, at = 0; i < n; i++, at = (at + step) % n) found[i] = at;
    return found;
  })();

  // ---- colours ----------------------------------------------------------------------------------
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rgb = (hex) => {
    const h = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
    return [1, 3, 5].map((at) => parseInt(h.slice(at, at + 2), 16));
  };
  const packedRgb = ([r, g, b]) => (0xff000000 | b << 16 | g << 8 | r) >>> 0;
  const ramp = (share) => {
    const at = Math.min(Math.max(share, 0), 0.9999) * (RAMP.length - 1), low = Math.floor(at);
    return RAMP[low].map((v, c) => Math.round(v + (RAMP[low + 1][c] - v) * (at - low)));
  };
  let counts = [], ink = "#000", accent = "#00f";
  function recolour() {
    ink = css("--ink");
    accent = css("--accent");
    background = packedRgb(rgb(css("--paper")));
    none = packedRgb(rgb(css("--none")));
    const about = data.colourings[colouring], values = about && arrays["colour" + colouring];
    $("scale").hidden = !(about && about.numbers);
    $("legend").replaceChildren();
    if (!about) {
      palette = Uint32Array.of(none, packedRgb(rgb(css("--accent"))));
      codes.fill(1);
    } else if (about.numbers) {
      let low = Infinity, high = -Infinity;
      for (const v of values) if (v === v) { if (v < low) low = v; if (v > high) high = v; }
      palette = new Uint32Array(257);
      palette[0] = none;
      for (let i = 0; i < 256; i++) palette[i + 1] = packedRgb(ramp(i / 255));
      for (let i = 0; i < n; i++) codes[i] = values[i] === values[i] ? 1 + Math.round(255 * (values[i] - low) / (high - low || 1)) : 0;
      $("low").textContent = Number(low.toPrecision(4));
      $("high").textContent = Number(high.toPrecision(4));
      const context = $("ramp").getContext("2d");
      for (let i = 0; i < 240; i++) { context.fillStyle = `rgb(${ramp(i / 239)})`; context.fillRect(i, 0, 1, 10); }
    } else {
      counts = new Array(about.classes.length + 1).fill(0);
      for (let i = 0; i < n; i++) { codes[i] = values[i] + 1; counts[codes[i]]++; }
      const frequent = about.classes.map((_, i) => i).sort((a, b) => counts[b + 1] - counts[a + 1] || a - b);
      palette = new Uint32Array(about.classes.length + 1).fill(packedRgb(rgb(css("--soft"))));
      palette[0] = none;
      frequent.slice(0, COLOURS.length).forEach((c, rank) => { palette[c + 1] = packedRgb(rgb(COLOURS[rank])); });
      const shown = about.classes.length > COLOURS.length ? frequent : about.classes.map((_, i) => i);
      $("legend").replaceChildren(...shown.slice(0, 1000).map((c) => legendItem(c + 1, about.classes[c])),
        ...(counts[0] ? [legendItem(0, "without")] : []));
    }
    for (let j = 0; j < n; j++) drawnColour[j] = palette[codes[order[j]]];
    draw();
  }
  const hexOf = (value) => "#" + [value & 255, value >> 8 & 255, value >> 16 & 255].map((v) => v.toString(16).padStart(2, "0")).join("");
  function dot(colour) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    svg.setAttribute("viewBox", "0 0 10 10");
    svg.setAttribute("aria-hidden", "true");
    for (const [name, value] of Object.entries({cx: 5, cy: 5, r: 5, fill: colour})) circle.setAttribute(name, value);
    svg.append(circle);
    return svg;
  }
  function item(text, side, act, colour) {
    const li = document.createElement("li"), button = document.createElement("button");
    const t = document.createElement("span"), s = document.createElement("span");
    t.className = "t"; t.textContent = text;
    s.className = "n"; s.textContent = side;
    button.append(...(colour === undefined ? [] : [dot(hexOf(colour))]), t, s);
    button.addEventListener("click", act);
    li.append(button);
    return li;
  }
  function legendItem(code, text) {
    const li = item(text, counts[code].toLocaleString("en"), () => {
      if (off.has(code)) off.delete(code); else off.add(code);
      li.firstChild.classList.toggle("off", off.has(code));
      li.firstChild.setAttribute("aria-pressed", String(!off.has(code)));
      draw();
    }, palette[code]);
    li.firstChild.title = "Show or fade";
    li.firstChild.classList.toggle("off", off.has(code));
    return li;
  }

  // ---- drawing ----------------------------------------------------------------------------------
  // Points are drawn into an array of pixels: many times faster than canvas calls without a GPU.
  const points = $("points"), marks = $("marks"), stage = $("stage");
  const paint = points.getContext("2d", {alpha: false, willReadFrequently: true}), over = marks.getContext("2d");
  let width = 1, height = 1, dpr = 1, image = null, pixels = null, pending = false, size = 1;
  const scaleOf = () => 0.92 * Math.min(width, height) * view.zoom;
  const toX = (x) => (x - view.x) * scaleOf() + width / 2, toY = (y) => (y - view.y) * scaleOf() + height / 2;
  const fromX = (px) => (px - width / 2) / scaleOf() + view.x, fromY = (py) => (py - height / 2) / scaleOf() + view.y;
  function resize() {
    dpr = Math.min(window.devicePixelRatio || 1, 2);
    const w = Math.max(1, Math.round(stage.clientWidth * dpr)), h = Math.max(1, Math.round(stage.clientHeight * dpr));
    if (w === width && h === height && image) return;
    width = w; height = h;
    for (const canvas of [points, marks]) { canvas.width = w; canvas.height = h; }
    image = paint.createImageData(w, h);
    pixels = new Uint32Array(image.data.buffer);
    draw();
  }
  function draw() {
    if (!pending) { pending = true; requestAnimationFrame(render); }
  }
  function stamp(radius) {  // offsets and coverage (0 to 256) of a disc
    const found = [], reach = Math.ceil(radius + 0.5);
    for (let dy = -reach; dy <= reach; dy++) for (let dx = -reach; dx <= reach; dx++) {
      const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy)));
      if (cover > 0.04) found.push(dx, dy, Math.round(256 * cover));
    }
    return Int32Array.from(found);
  }
  function radiusNow() {
    const free = Math.sqrt(width * height / n) / dpr;
    return dpr * Math.min(Math.max(0.115 * free, 1.1) * Math.pow(view.zoom, 0.35), 7);
  }
  function render() {
    pending = false;
    if (!pixels) return;
    size = radiusNow();
    pixels.fill(background);
    const filtered = matches || selection || off.size;
    if (filtered) pass(false, stamp(Math.max(0.7 * dpr, 0.6 * size)));
    pass(true, stamp(filtered ? size * 1.15 : size));
    paint.putImageData(image, 0, 0);
    renderMarks();
    stage.dataset.frames = Number(stage.dataset.frames || 0) + 1;
  }
  const lit = (i) => !off.has(codes[i]) && (!matches || matches[i]) && (!selection || selection[i]);
  // The points in drawing order: reads in sequence are faster.
  const drawnX = Float32Array.from(order, (i) => X[i]), drawnY = Float32Array.from(order, (i) => Y[i]);
  const drawnColour = new Uint32Array(n);
  function pass(bright, disc) {
    const filtered = matches || selection || off.size, scale = scaleOf();
    const left = width / 2 - view.x * scale + 0.5, top = height / 2 - view.y * scale + 0.5;
    const length = disc.length / 3, offsets = new Int32Array(length), covers = new Int32Array(length);
    for (let s = 0; s < length; s++) {
      offsets[s] = disc[3 * s + 1] * width + disc[3 * s];
      covers[s] = bright ? disc[3 * s + 2] : disc[3 * s + 2] * 70 >> 8;
    }
    const out = pixels, reach = 10, right = width - reach, bottom = height - reach;
    for (let j = 0; j < n; j++) {
      const px = Math.floor(drawnX[j] * scale + left), py = Math.floor(drawnY[j] * scale + top);
      if (px < -reach || py < -reach || px >= width + reach || py >= height + reach) continue;
      if (filtered && lit(order[j]) !== bright) continue;
      const colour = bright ? drawnColour[j] : none, rb = colour & 0xff00ff, g = colour & 0xff00;
      const inside = px >= reach && py >= reach && px < right && py < bottom, base = py * width + px;
      for (let s = 0; s < length; s++) {
        if (!inside) {
          const x = px + disc[3 * s], y = py + disc[3 * s + 1];
          if (x < 0 || y < 0 || x >= width || y >= height) continue;
        }
        const at = base + offsets[s], a = covers[s];
        if (a >= 250) { out[at] = colour; continue; }
        const old = out[at], b = 256 - a;
        out[at] = 0xff000000 | ((old & 0xff00ff) * b + rb * a >>> 8 & 0xff00ff) | ((old & 0xff00) * b + g * a >>> 8 & 0xff00);
      }
    }
  }
  function ring(i, radius, colour, line) {
    over.beginPath();
    over.arc(toX(X[i]), toY(Y[i]), radius, 0, 7);
    over.lineWidth = line * dpr;
    over.strokeStyle = colour;
    over.stroke();
  }
  function renderMarks() {
    over.clearRect(0, 0, width, height);
    if (current >= 0) {
      for (const i of neighboursOf(current)) {
        over.beginPath();
        over.moveTo(toX(X[current]), toY(Y[current]));
        over.lineTo(toX(X[i]), toY(Y[i]));
        over.lineWidth = dpr; over.globalAlpha = 0.35; over.strokeStyle = ink;
        over.stroke();
        over.globalAlpha = 1;
        ring(i, size + 3 * dpr, accent, 1.5);
      }
      ring(current, size + 5 * dpr, ink, 2.5);
    }
    if (hovered >= 0) ring(hovered, size + 3 * dpr, ink, 1.5);
    if (outline && outline.length > 1) {
      over.beginPath();
      outline.forEach(([x, y], i) => i ? over.lineTo(toX(x), toY(y)) : over.moveTo(toX(x), toY(y)));
      if (!lassoing) over.closePath();
      over.lineWidth = 1.5 * dpr; over.strokeStyle = accent; over.fillStyle = accent;
      over.stroke();
      over.globalAlpha = 0.08; over.fill(); over.globalAlpha = 1;
    }
  }
  const neighboursOf = (i) => {
    const found = [];
    for (let j = 0; j < k; j++) { const other = arrays.neighbours[j * n + i]; if (other !== i) found.push(other); }
    return found;
  };

  // ---- choosing a clip --------------------------------------------------------------------------
  function at(px, py) {
    let best = -1, least = (REACH * dpr) ** 2;
    for (let i = 0; i < n; i++) {
      const dx = toX(X[i]) - px, dy = toY(Y[i]) - py, d = dx * dx + dy * dy;
      if (d < least && lit(i)) { least = d; best = i; }
    }
    return best;
  }
  function labelOf(i) {
    return data.colourings.map((about, c) => {
      const value = arrays["colour" + c][i];
      if (about.numbers) return value === value ? `${about.name}: ${Number(value.toPrecision(5))}` : "";
      return value >= 0 ? (about.name === "cluster" ? about.classes[value] : `${about.name}: ${about.classes[value]}`) : "";
    }).filter(Boolean).join(", ");
  }
  function choose(i, play = true, centre = false) {
    current = i; walk = -1;
    $("clip").hidden = i < 0;
    if (i >= 0) {
      $("name").textContent = nameOf(i);
      const time = timed ? `${clock(arrays.start[i])} to ${clock(arrays.end[i])}` : "";
      $("facts").textContent = [time, labelOf(i)].filter(Boolean).join(", ");
      $("nearest").replaceChildren(...neighboursOf(i).map((other) => {
        const j = neighbourNumber(i, other), similarity = 2 * arrays.similarities[j * n + i] / 65535 - 1;
        return item(shortOf(other), similarity.toFixed(3), () => choose(other, true, true), palette[codes[other]]);
      }));
      if (centre) reveal(i);
      sound(i, play);
    } else stop();
    draw();
  }
  const neighbourNumber = (i, other) => { let j = 0; while (arrays.neighbours[j * n + i] !== other) j++; return j; };
  function reveal(i) {
    const px = toX(X[i]), py = toY(Y[i]);
    if (px < 0.1 * width || px > 0.9 * width || py < 0.1 * height || py > 0.9 * height) { view.x = X[i]; view.y = Y[i]; }
  }
  const audio = $("audio");
  let stopAt = Infinity, objectUrl = null;
  function urlOf(i) {  // bytes of names that are not UTF-8 are private characters; see semisupcon.paths
    return (data.audio + data.names[arrays.file[i]]).split("/").map((part) => encodeURIComponent(part)
      .replace(/%EE%BE%([89AB][0-9A-F])/g, "%$1")
      .replace(/%EE%BF%([89AB][0-9A-F])/g, (_, low) => "%" + (parseInt(low, 16) + 64).toString(16))).join("/");
  }
  function stop() { audio.pause(); audio.removeAttribute("src"); $("trouble").textContent = ""; }
  function sound(i, play) {
    stop();
    if (objectUrl) { URL.revokeObjectURL(objectUrl); objectUrl = null; }
    const preview = previews(i);
    stopAt = Infinity;
    if (preview) {
      objectUrl = URL.createObjectURL(new Blob([preview], {type: "audio/mpeg"}));
      audio.src = objectUrl;
    } else {
      const path = urlOf(i);
      audio.src = (path.startsWith("..") || path.startsWith("/") ? "" : "./") + path + (timed ? `#t=${arrays.start[i]},${arrays.end[i]}` : "");
      if (timed) stopAt = arrays.end[i];
    }
    if (play) audio.play().catch(() => {});
  }
  audio.addEventListener("timeupdate", () => { if (audio.currentTime >= stopAt) audio.pause(); });
  audio.addEventListener("error", () => {
    if (audio.getAttribute("src")) $("trouble").textContent = "The audio cannot be played: it is not at its place beside this page, or in a format that the browser does not play.";
  });

  // ---- pointer ----------------------------------------------------------------------------------
  const pointers = new Map();
  let moved = 0, spread = 0;
  const place = (event) => { const box = marks.getBoundingClientRect(); return [(event.clientX - box.left) * dpr, (event.clientY - box.top) * dpr]; };
  const lassoOn = () => $("lasso").getAttribute("aria-pressed") === "true";
  marks.addEventListener("pointerdown", (event) => {
    marks.setPointerCapture(event.pointerId);
    const [px, py] = place(event);
    pointers.set(event.pointerId, [px, py]);
    moved = 0;
    if (pointers.size === 2) { const [a, b] = [...pointers.values()]; spread = Math.hypot(a[0] - b[0], a[1] - b[1]); lassoing = false; }
    else if (lassoOn() || event.shiftKey) { lassoing = true; outline = [[fromX(px), fromY(py)]]; selection = null; }
  });
  marks.addEventListener("pointermove", (event) => {
    const [px, py] = place(event), last = pointers.get(event.pointerId);
    if (!last) { hover(px, py); return; }
    moved += Math.abs(px - last[0]) + Math.abs(py - last[1]);
    pointers.set(event.pointerId, [px, py]);
    if (lassoing) { outline.push([fromX(px), fromY(py)]); draw(); return; }
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (spread > 0) zoomAt(now / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      spread = now;
      return;
    }
    view.x -= (px - last[0]) / scaleOf();
    view.y -= (py - last[1]) / scaleOf();
    $("tip").hidden = true;
    draw();
  });
  const release = (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    pointers.delete(event.pointerId);
    if (lassoing) { lassoing = false; closeLasso(); return; }
    if (event.type === "pointerup" && moved < 5 * dpr && !pointers.size) { const i = at(...last); if (i >= 0) choose(i); }
  };
  marks.addEventListener("pointerup", release);
  marks.addEventListener("pointercancel", release);
  marks.addEventListener("pointerleave", () => { hovered = -1; $("tip").hidden = true; draw(); });
  marks.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...place(event));
  }, {passive: false});
  function zoomAt(factor, px, py) {
    const x = fromX(px), y = fromY(py);
    view.zoom = Math.min(Math.max(view.zoom * factor, 0.5), MOST_SCALE);
    view.x = x - (px - width / 2) / scaleOf();
    view.y = y - (py - height / 2) / scaleOf();
    draw();
  }
  function hover(px, py) {
    const i = at(px, py), tip = $("tip");
    if (i !== hovered) { hovered = i; draw(); }
    tip.hidden = i < 0;
    if (i < 0) return;
    const label = labelOf(i);
    tip.textContent = shortOf(i) + (label ? "\n" + label : "");
    tip.style.whiteSpace = "pre-line";
    const x = px / dpr, y = py / dpr, right = x > stage.clientWidth / 2, below = y > stage.clientHeight / 2;
    tip.style.left = right ? "auto" : x + 14 + "px";
    tip.style.right = right ? stage.clientWidth - x + 14 + "px" : "auto";
    tip.style.top = below ? "auto" : y + 14 + "px";
    tip.style.bottom = below ? stage.clientHeight - y + 14 + "px" : "auto";
  }

  // ---- lasso ------------------------------------------------------------------------------------
  function closeLasso() {
    const path = outline || [], found = new Uint8Array(n);
    let count = 0;
    if (path.length > 2) for (let i = 0; i < n; i++) {
      let inside = false;
      for (let a = 0, b = path.length - 1; a < path.length; b = a++) {
        const [xa, ya] = path[a], [xb, yb] = path[b];
        if ((ya > Y[i]) !== (yb > Y[i]) && X[i] < (xb - xa) * (Y[i] - ya) / (yb - ya) + xa) inside = !inside;
      }
      if (inside && lit(i)) { found[i] = 1; count++; }
    }
    selection = count ? found : null;
    if (!count) outline = null;
    $("chosen").hidden = !count;
    $("count").textContent = `${counted(count, timed ? "window" : "clip")} selected`;
    setLasso(false);
    draw();
  }
  function setLasso(on) {
    $("lasso").setAttribute("aria-pressed", String(on));
    marks.classList.toggle("lasso", on);
  }
  // A cell that a spreadsheet would run gets an apostrophe, as in all tables of semisupcon.
  const number = (text) => text.trim() !== "" && Number.isFinite(Number(text));
  const cell = (text) => {
    const safe = /^'*[=+\-@\t\r]/.test(text) && !number(text) ? "'" + text : text;
    return /[",\r\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  };
  function table() {
    const named = data.colourings.map((about) => about.name);
    const lines = [["file", ...(timed ? ["start", "end"] : []), ...named].map(cell).join(",")];
    for (let i = 0; i < n; i++) if (selection && selection[i]) {
      const values = data.colourings.map((about, c) => {
        const value = arrays["colour" + c][i];
        return about.numbers ? (value === value ? String(value) : "") : about.classes[value] ?? "";
      });
      const times = timed ? [arrays.start[i], arrays.end[i]].map((t) => String(Number(t.toFixed(6)))) : [];
      lines.push([nameOf(i), ...times, ...values].map(cell).join(","));
    }
    return lines.join("\r\n") + "\r\n";
  }
  $("save").addEventListener("click", () => {
    const link = document.createElement("a"), url = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
    link.href = url;
    link.download = "selected.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  });
  $("copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(table()); $("copy").textContent = "Copied"; }
    catch { $("copy").textContent = "Not allowed"; }
    setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
  });
  function clear() {
    selection = null; outline = null; lassoing = false;
    $("chosen").hidden = true;
    setLasso(false);
    draw();
  }
  $("clear").addEventListener("click", clear);
  $("lasso").addEventListener("click", () => setLasso(!lassoOn()));

  // ---- search -----------------------------------------------------------------------------------
  function find() {
    const words = $("query").value.toLowerCase().split(/\s+/).filter(Boolean);
    matches = null;
    $("results").replaceChildren();
    $("found").textContent = "";
    if (words.length) {
      const hit = data.names.map((name) => { const text = (data.folder + name).toLowerCase(); return words.every((word) => text.includes(word)); });
      matches = new Uint8Array(n);
      const first = [];
      let count = 0;
      for (let i = 0; i < n; i++) if (hit[arrays.file[i]]) { matches[i] = 1; count++; if (first.length < LISTED) first.push(i); }
      $("found").textContent = counted(count, timed ? "window" : "clip") + (count > LISTED ? `, ${LISTED} listed` : "");
      $("results").replaceChildren(...first.map((i) => item(shortOf(i), "", () => choose(i, true, true), palette[codes[i]])));
    }
    draw();
  }
  $("query").addEventListener("input", find);
  $("query").addEventListener("keydown", (event) => {
    const first = $("results").querySelector("button");
    if (event.key === "Enter" && first) first.click();
    if (event.key === "ArrowDown" && first) { event.preventDefault(); first.focus(); }
    if (event.key === "Escape") { $("query").value = ""; find(); marks.focus(); }
  });

  // ---- keyboard ---------------------------------------------------------------------------------
  $("in").addEventListener("click", () => zoomAt(1.5, width / 2, height / 2));
  $("out").addEventListener("click", () => zoomAt(1 / 1.5, width / 2, height / 2));
  $("fit").addEventListener("click", fit);
  function fit() { Object.assign(view, {zoom: 1, x: 0.5, y: 0.5}); draw(); }
  function step(by) {
    const buttons = [...$("nearest").querySelectorAll("button")];
    if (current < 0) { choose(order[0], false); return; }
    if (!buttons.length) return;
    walk = (walk + by + buttons.length + (walk < 0 && by < 0 ? 1 : 0)) % buttons.length;
    buttons.forEach((button, i) => button.classList.toggle("at", i === walk));
    buttons[walk].scrollIntoView({block: "nearest"});
    hovered = neighboursOf(current)[walk];
    draw();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input,select,textarea");
    if (typing) return;
    const onButton = event.target.closest("button,summary,audio");
    const act = {
      "+": () => $("in").click(), "=": () => $("in").click(), "-": () => $("out").click(), "0": fit,
      "/": () => $("query").focus(), l: () => setLasso(!lassoOn()), L: () => setLasso(!lassoOn()),
      Escape: () => { clear(); choose(-1); },
      ArrowDown: () => step(1), ArrowRight: () => step(1), ArrowUp: () => step(-1), ArrowLeft: () => step(-1),
      ...(onButton ? {} : {
        Enter: () => { if (walk >= 0) choose(neighboursOf(current)[walk], true, true); },
        " ": () => { if (current >= 0) { if (audio.paused) audio.play().catch(() => {}); else audio.pause(); } },
      }),
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  // ---- start ------------------------------------------------------------------------------------
  $("by").replaceChildren(...[...data.colourings.map((about) => about.name), "one colour"].map((text, i) => {
    const option = document.createElement("option");
    option.value = i; option.textContent = text;
    return option;
  }));
  $("by").addEventListener("change", () => { colouring = Number($("by").value); off = new Set(); recolour(); if (current >= 0) choose(current, false); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  new ResizeObserver(resize).observe(stage);
  resize();
  recolour();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    performance.mark("interactive");
    document.documentElement.dataset.ready = "yes";
  }));
})();
