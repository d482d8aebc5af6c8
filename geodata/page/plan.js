/* The map of a plan. Text is in data.words by its English; names from files are only ever set as text. */
function upstairs(map, data) {
  "use strict";
  const t = text => data.words[text] || text;
  const put = (text, values) => t(text).replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const whole = new Intl.NumberFormat(data.lang, { maximumFractionDigits: 0 });
  const fine = new Intl.NumberFormat(data.lang, { maximumFractionDigits: 2 });
  const small = new Intl.NumberFormat(data.lang, { maximumSignificantDigits: 3 });
  const down = new Intl.NumberFormat(data.lang, { maximumSignificantDigits: 3, roundingMode: "floor" });
  const number = v => v == null ? "–" : whole.format(v);
  const percent = v => v == null ? "–" : new Intl.NumberFormat(data.lang, { style: "percent" }).format(v);
  const el = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key === "text") node.textContent = value;
      else node.setAttribute(key, value);
    }
    children.flat().forEach(child => child != null && node.append(child));
    return node;
  };
  const p = data.parcels, uses = data.uses, count = p.id.length;
  const every = [...Array(count).keys()];
  const sum = list => list.reduce((a, b) => a + b, 0);
  const floorOf = (table, i) => sum(table.map(column => column[i]));
  const gfa = every.map(i => floorOf(p.gfa, i)), today = every.map(i => floorOf(p.today, i));

  /* ---- views: a colour and a class of each parcel ---- */
  const NONE = [t("No building"), data.empty];
  const scale = (colours, low, high) => colours.map((c, k) => [k === 0 ? low : k === colours.length - 1 ? high : "", c]);
  const step = (colours, x) => Math.max(0, Math.min(colours.length - 1, Math.floor(x * colours.length)));
  const kinds = uses.map(u => [u.label, u.colour]).concat([NONE]);
  const byUse = (title, column, table) => ({
    title, classes: kinds, area: uses.map((_, u) => i => table[u][i]),
    of: i => column[i] < 0 ? uses.length : column[i]
  });
  const graded = (title, low, high, value, colours) => {
    const ramp = colours || data.ramp;
    return { title, graded: true, classes: scale(ramp, low, high).concat([NONE]),
      of: i => { const x = value(i); return x == null ? ramp.length : step(ramp, x); } };
  };
  const most = Math.max(1, ...p.floors);
  const changed = every.map(i => gfa[i] - today[i]);
  const widest = Math.max(1, ...changed.map(Math.abs));
  const actions = Object.keys(data.actions);
  const SAME = 0.05;  /* m² to which files are rounded */
  const alike = i => uses.every((_, u) => Math.abs(p.gfa[u][i] - p.today[u][i]) <= SAME);
  const differences = [[t("the same"), "#BBBBBB"], [t("treated otherwise, the same uses"), "#CC79A7"], [t("other uses, as much floor area"), "#E69F00"], [t("more floor area"), "#0072B2"], [t("less floor area"), "#F0E442"]];
  /* What is set side by side: today and the plan, or two plans. */
  const sides = data.sides || [t("Today"), t("Plan")];
  const whose = data.sides ? sides[1] + ": " : "";
  const [before, after] = sides.map(side => ({ side }));
  let shared = 0;
  const views = {
    plan: byUse(put("{side}: dominant use", after), p.dominant, p.gfa),
    today: byUse(put("{side}: dominant use", before), p.dominant_today, p.today),
    action: { title: put("{side}: what happens", after), classes: Object.values(data.actions), of: i => actions.indexOf(p.action[i]) },
    differs: { title: t("What differs"), classes: differences,
      of: i => alike(i) ? (p.action[i] === p.action_before[i] ? 0 : 1) : Math.abs(changed[i]) <= SAME ? 2 : changed[i] > 0 ? 3 : 4 },
    change: graded(t("Change of floor area"), put("{n} m² less", { n: number(widest) }), put("{n} m² more", { n: number(widest) }),
      i => gfa[i] || today[i] ? 0.5 + 0.5 * Math.sign(changed[i]) * Math.sqrt(Math.abs(changed[i]) / widest) : null, data.both),
    share: graded(put("{side}: share of one use", after), "0 %", "100 %", i => gfa[i] ? p.gfa[shared][i] / gfa[i] : null),
    floors: graded(put("{side}: storeys", after), "1", put("{n} storeys", { n: most }), i => p.floors[i] ? p.floors[i] / most - 1e-9 : null),
    mix: graded(put("{side}: mix in the building", after), t("one use"), t("all uses, equal shares"), i => gfa[i] ? p.mix[i] : null),
    block: graded(put("{side}: mix in the block", after), t("one use"), t("all uses, equal shares"), i => p.block[i]),
    used: graded(put("{side}: floor area of what zoning allows", after), "0 %", "100 %", i => p.max_far[i] == null ? null : p.far[i] / Math.max(p.max_far[i], 1e-9))
  };
  /* What land is worth to the score, at the prices that prove the bound. */
  const dear = every.map(i => p.price[i] == null || !(p.site[i] > 0) ? null : Math.max(0, p.price[i]) / p.site[i] * 1e4);
  const dearest = Math.max(...dear);
  if (dearest > 0) views.price = graded(t("Shadow price of the land"), "0", put("{n} of the score a hectare", { n: small.format(dearest) }),
    i => dear[i] == null ? null : Math.sqrt(dear[i] / dearest));
  delete views[data.sides ? "price" : "differs"];
  if (p.block.every(v => v == null)) delete views.block;
  if (p.max_far.every(v => v == null)) delete views.used;

  /* ---- the parcels, drawn once ---- */
  const at = flat => {
    const points = [];
    for (let k = 0, x = 0, y = 0; k < flat.length; k += 2) {
      x += flat[k]; y += flat[k + 1];
      points.push([data.origin[1] + y / 1e6, data.origin[0] + x / 1e6]);
    }
    return points;
  };
  const pane = (name, order, through) => {
    const made = map.createPane(name);
    made.style.zIndex = order;
    if (through) made.style.pointerEvents = "none";
    return name;
  };
  pane("up-streets", 380, true);
  pane("up-today", 410, true);
  pane("up-fields", 450, true);
  pane("up-flows", 460, true);
  pane("up-marks", 470, true);
  const canvas = Object.fromEntries(["overlayPane", "up-today", "up-streets", "up-flows", "up-marks"]
    .map(name => [name, L.canvas({ pane: name, padding: 0.2 })]));
  const shapes = p.shape.map(parts => parts.map(rings => rings.map(at)));
  const hidden = new Set();
  const fills = { shown: 0.85, hidden: 0.06 };
  const parcels = shapes.map((shape, i) => L.polygon(shape, { renderer: canvas.overlayPane, color: "#444", weight: 0.6 })
    .bindTooltip(() => tip(i), { sticky: true }).on("click", () => open(i)).addTo(map));
  let view = "plan", dim = false;
  const colourOf = (v, i) => { const k = v.of(i); return k < 0 ? NONE[1] : v.classes[k][1]; };
  const paint = () => {
    const v = views[view];
    parcels.forEach((layer, i) => layer.setStyle({
      fillColor: colourOf(v, i), fillOpacity: hidden.has(i) ? fills.hidden : dim ? 0.1 : fills.shown,
      opacity: hidden.has(i) ? 0.25 : 1
    }));
  };
  function tip(i) {
    const box = el("div", {}, el("b", { text: p.id[i] }), ": " + whose + data.actions[p.action[i]][0]);
    const listed = p.stack[i].slice().reverse();
    listed.slice(0, 12).forEach(s => box.append(el("div", { text: uses[s[1]].label + " " + range(s[2], s[3]) + ", " + number(s[4]) + " m²" })));
    if (listed.length > 12) box.append(el("div", { text: "…" }));
    if (!listed.length) box.append(el("div", { text: t("No building") }));
    return box;
  }
  const range = (a, b) => a === b ? String(a) : a + "–" + b;
  const storeys = (a, b) => put(a === b ? "storey {n}" : "storeys {n}", { n: range(a, b) });

  /* ---- the section: a building's storeys from the ground up, to scale ---- */
  const section = el("section", { class: "up-section up-box", "aria-label": t("Section of the building"), hidden: "" });
  function cells(list, width) {
    /* One row a storey: [height, [use, m²] ...]; what shares a storey lies side by side. */
    const rows = [];
    list.forEach(([, use, from, to, area]) => {
      for (let n = from; n <= to; n++) (rows[n - 1] = rows[n - 1] || []).push([use, area / (to - from + 1)]);
    });
    return Array.from(rows, row => row || []).map(row => [Math.max(3, ...row.map(([u]) => uses[u].height)), row]);
  }
  function drawing(i, stack) {
    const sites = {};
    stack.forEach(s => (sites[s[0]] = sites[s[0]] || []).push(s));
    const built = Object.entries(sites).map(([site, list]) => {
      const rows = cells(list);
      const width = Math.sqrt(Math.max(1, ...rows.map(([, row]) => sum(row.map(c => c[1])))));
      return { site, rows, width, height: sum(rows.map(r => r[0])) };
    });
    if (!built.length) return el("p", { text: t("No building") });
    const gap = 4, wide = sum(built.map(b => b.width)) + gap * (built.length + 1);
    /* Up to three buildings fill the width; of more, one scrolls along. */
    const seen = Math.min(wide, 3 * Math.max(...built.map(b => b.width)) + 4 * gap);
    const high = Math.max(12, ...built.map(b => b.height)) * 1.06;
    const size = Math.min((Math.min(400, map.getSize().x) - 80) / seen, 300 / high), sx = v => v * size;
    const ns = "http://www.w3.org/2000/svg";
    const svg = (tag, attributes, ...children) => {
      const node = document.createElementNS(ns, tag);
      Object.entries(attributes).forEach(([k, v]) => k === "text" ? node.textContent = v : node.setAttribute(k, v));
      node.append(...children);
      return node;
    };
    const left = 42, drawn = svg("svg", { width: sx(wide) + left, height: sx(high) + 20, role: "img", class: "up-drawing" },
      svg("title", { text: put("Section of parcel {id}", { id: p.id[i] }) }));
    let x = left + sx(gap);
    built.forEach(b => {
      let y = sx(high);
      b.rows.forEach(([height, row], n) => {
        y -= sx(height);
        let from = x;
        row.forEach(([u, area]) => {
          const width = sx(area / b.width);
          drawn.append(svg("rect", { x: from, y, width, height: sx(height), fill: uses[u].colour, stroke: "#fff", "stroke-width": 0.8 },
            svg("title", { text: put("storey {n}", { n: n + 1 }) + ": " + uses[u].label + ", " + number(area) + " m²" })));
          from += width;
        });
      });
      drawn.append(svg("text", { x: x + sx(b.width) / 2, y: sx(high) + 14, "text-anchor": "middle", class: "up-small", text: put("building {n}", { n: b.site }) }));
      x += sx(b.width + gap);
    });
    const tick = high > 60 ? 20 : high > 25 ? 10 : 5;
    for (let m = 0; m <= high; m += tick) drawn.append(
      svg("line", { x1: left - 4, x2: left, y1: sx(high - m), y2: sx(high - m), stroke: "#444" }),
      svg("text", { x: left - 6, y: sx(high - m) + 4, "text-anchor": "end", class: "up-small", text: m + " m" }));
    drawn.append(svg("line", { x1: left, x2: left + sx(wide), y1: sx(high), y2: sx(high), stroke: "#444", "stroke-width": 2 }));
    return el("div", { class: "up-scroll" }, drawn);
  }
  function floors(stack) {
    const sites = {};
    stack.forEach(s => (sites[s[0]] = sites[s[0]] || []).push(s));
    const lists = Object.entries(sites).map(([site, list]) => [site, el("ol", { class: "up-floors" }, list.slice().reverse().map(s => el("li", {},
      el("i", { style: "background:" + uses[s[1]].colour }), el("span", { text: uses[s[1]].label }),
      el("span", { text: storeys(s[2], s[3]) }), el("span", { text: number(s[4]) + " m²" }),
      el("span", { text: uses[s[1]].jobs ? put("{n} jobs", { n: number(uses[s[1]].jobs * s[4]) }) : uses[s[1]].homes ? put("{n} homes", { n: number(uses[s[1]].homes * s[4]) }) : "" }))))]);
    return lists.length < 2 ? lists.map(([, list]) => list) : lists.map(([site, list], k) =>
      el("details", k ? {} : { open: "" }, el("summary", { text: put("building {n}", { n: site }) }), list));
  }
  function upstream(i) {
    /* What floors draw on: [linkage, m² served in the building, m² served elsewhere, m² not served]. */
    const on = u => {
      const own = p.stack[i].filter(s => s[1] === u), n = own.map(s => range(s[2], s[3])).join(", ");
      return put(own.length === 1 && own[0][2] === own[0][3] ? "storey {n}" : "storeys {n}", { n });
    };
    return p.links[i].map(([l, inside, outside, unmet]) => {
      const link = data.linkages[l];
      const parts = [];
      if (inside > 0.5) parts.push(put("in the building, {where}: {m} m²", { where: on(link.supplier), m: number(inside) }));
      if (outside > 0.5) parts.push(put("elsewhere within reach: {m} m²", { m: number(outside) }));
      if (unmet > 0.5) parts.push(put("not met: {m} m²", { m: number(unmet) }));
      return el("li", {}, el("b", { text: uses[link.client].label + ", " + on(link.client) }),
        " " + put("draws on {supplier}", { supplier: uses[link.supplier].label }) + ": " + parts.join("; "));
    });
  }
  let opened = null;
  const mark = L.layerGroup().addTo(map);
  function open(i) {
    const before = document.activeElement;
    mark.clearLayers();
    L.polygon(shapes[i], { renderer: canvas["up-marks"], fill: false, color: "#111", weight: 3.5, interactive: false }).addTo(mark);
    const rows = uses.map((u, k) => [u, p.today[k][i], p.gfa[k][i]]).filter(r => r[1] || r[2]);
    const jobs = sum(uses.map((u, k) => u.jobs * p.gfa[k][i])), homes = sum(uses.map((u, k) => u.homes * p.gfa[k][i]));
    const facts = [whose + data.actions[p.action[i]][0], put("{n} storeys", { n: p.floors[i] }), number(gfa[i]) + " m²",
      t("FAR") + " " + fine.format(p.far[i]) + (p.max_far[i] == null ? "" : " " + put("of {n}", { n: fine.format(p.max_far[i]) }))];
    if (jobs) facts.push(put("{n} jobs", { n: number(jobs) }));
    if (homes) facts.push(put("{n} homes", { n: number(homes) }));
    if (p.zone[i]) facts.push(put("zone {n}", { n: p.zone[i] }));
    if (p.price[i] != null && dearest > 0 && !data.sides) facts.push(put("shadow price {n}", { n: down.format(p.price[i]) }));
    const links = upstream(i);
    section.replaceChildren(...[
      el("button", { class: "up-close", type: "button", "aria-label": t("Close"), text: "×", onclick: () => { shut(); if (before && before.focus) before.focus(); } }),
      el("h2", { text: put("Parcel {id}", { id: p.id[i] }) }), el("p", { text: facts.join("; ") }),
      ...(data.sides ? [p.before, p.stack] : [p.stack]).flatMap((stacks, k) =>
        [data.sides ? el("h3", { text: sides[k] }) : null, drawing(i, stacks[i]), ...floors(stacks[i])]),
      links.length ? el("h3", { text: t("What its floors draw on") }) : null, links.length ? el("ul", {}, links) : null,
      rows.length ? el("table", { class: "up-table" }, el("tr", {}, el("th", { text: t("Floor area, m²") }), sides.map(text => el("th", { text }))),
        rows.map(([u, a, b]) => el("tr", {}, el("td", { text: u.label }), el("td", { text: number(a) }), el("td", { text: number(b) })))) : null].filter(part => part));
    section.hidden = false;
    if (narrow) panel.querySelectorAll("details").forEach(part => { part.open = false; });
    /* The parcel is not left under the boxes. */
    const beside = narrow ? [[10, panel.offsetHeight + 20], [10, section.offsetHeight + 20]] : [[panel.offsetWidth + 20, 20], [section.offsetWidth + 20, 40]];
    map.panInside(parcels[i].getBounds().getCenter(), { paddingTopLeft: beside[0], paddingBottomRight: beside[1], animate: false });
    opened = i;
  }
  function shut() { section.hidden = true; mark.clearLayers(); opened = null; }

  /* ---- ground: streets as drawn, tiles over them where there is a network ---- */
  const streets = data.streets.map(at);
  const ground = L.polyline(streets, { renderer: canvas["up-streets"], color: "#c9c4b8", weight: 2, interactive: false });
  if (data.tiles) {
    const tiles = L.tileLayer(data.tiles.url, { attribution: data.tiles.attribution, opacity: 0.35, maxZoom: 22, maxNativeZoom: 19 });
    tiles.on("tileerror", () => ground.addTo(map)).on("tileload", () => ground.remove());
    ground.addTo(map);
    tiles.addTo(map);
  } else ground.addTo(map);

  /* ---- flows: along streets, width by m²; within a building a ring ---- */
  const flows = data.linkages.map((link, l) => {
    const group = L.layerGroup(), carried = data.flows[l] || { street: [], inside: [] };
    const top = Math.max(1, ...data.flows.flatMap(f => f.street.map(s => s[1])));
    carried.street.filter(([, m]) => m > top / 400).forEach(([k, m]) => L.polyline(streets[k], {
      renderer: canvas["up-flows"], color: uses[link.supplier].colour, weight: 1 + 13 * m / top, opacity: 0.75, interactive: false }).addTo(group));
    const biggest = Math.max(1, ...data.flows.flatMap(f => f.inside.map(s => s[1])));
    carried.inside.forEach(([i, m]) => L.circleMarker(L.latLngBounds(shapes[i].flat(2)).getCenter(), {
      renderer: canvas["up-flows"], radius: 3 + 13 * Math.sqrt(m / biggest), color: uses[link.supplier].colour, weight: 2.5, fill: false, interactive: false }).addTo(group));
    return { link, group, title: put("{supplier} to {client}", { supplier: uses[link.supplier].label, client: uses[link.client].label }),
      top, biggest };
  });

  /* ---- fields of noise and air: over the parcels, one at a time; clicks go through ---- */
  const fields = data.fields.map(f => {
    const parts = [L.imageOverlay(f.image, f.bounds, { opacity: data.opacity, pane: "up-fields", className: "up-field" })];
    f.lines.filter(l => l.shape.coordinates.length).forEach(l => {
      [["#fff", 4.5, 0.8], ["#000", 1.8, 1]].forEach(([color, weight, opacity]) =>
        parts.push(L.geoJSON(l.shape, { renderer: canvas["up-flows"], interactive: false, style: { color, weight, opacity, fill: false } })));
      l.shape.coordinates.slice().sort((a, b) => b.length - a.length).slice(0, 12).forEach(line => {
        const [x, y] = line[Math.floor(line.length / 2)];
        parts.push(L.marker([y, x], { pane: "up-marks", interactive: false, keyboard: false,
          icon: L.divIcon({ className: "up-level", html: el("span", { text: l.value }), iconSize: null }) }));
      });
    });
    return { field: f, group: L.layerGroup(parts) };
  });

  /* ---- outlines of parcels to look at ---- */
  data.marks.forEach(([i, said]) => L.polygon(shapes[i], { renderer: canvas["up-marks"], fill: false, color: data.marked, weight: 4, interactive: false })
    .addTo(map) && parcels[i].unbindTooltip().bindTooltip(el("div", { text: p.id[i] + ": " + said }), { sticky: true }));

  /* ---- legend, which counts what is shown ---- */
  const legend = el("div", { class: "up-legend", "aria-live": "polite" });
  function row(name, colour, ...cells) {
    return el("tr", {}, el("td", {}, el("i", { style: "background:" + colour })), el("td", { text: name }), cells.map(c => el("td", { text: c })));
  }
  function key() {
    const v = views[view], shown = every.filter(i => !hidden.has(i)), parts = [el("b", { text: v.title })];
    if (view === "share") parts.push(el("div", { text: uses[shared].label }));
    if (v.graded) {
      const ramp = v.classes.slice(0, -1);
      parts.push(el("div", { class: "up-ramp" }, ramp.map(([, c]) => el("i", { style: "background:" + c }))),
        el("div", { class: "up-ends" }, el("span", { text: ramp[0][0] }), el("span", { text: ramp[ramp.length - 1][0] })),
        ...[shown.filter(i => v.of(i) === ramp.length).length].filter(none => none && view !== "price")
          .map(none => el("table", {}, row(NONE[0], NONE[1], put("{n} parcels", { n: number(none) })))));
    } else {
      const n = v.classes.map(() => 0);
      shown.forEach(i => n[v.of(i)]++);
      const head = el("tr", {}, el("th"), el("th"), el("th", { text: t("parcels") }), v.area ? el("th", { text: t("floor area, m²") }) : null);
      parts.push(el("table", {}, head, v.classes.map(([name, colour], k) => row(name, colour, number(n[k]),
        ...(v.area ? [k < uses.length ? number(sum(shown.map(v.area[k]))) : ""] : []))),
        v.area ? el("tr", { class: "up-total" }, el("td"), el("td", { text: t("together") }), el("td", { text: number(shown.length) }),
          el("td", { text: number(sum(shown.map(view === "today" ? i => today[i] : i => gfa[i]))) })) : null));
    }
    flows.filter(f => map.hasLayer(f.group)).forEach((f, k, on) => {
      if (k === 0) parts.push(el("b", { text: t("Linkages along streets") }));
      parts.push(el("div", {}, el("i", { class: "up-line", style: "border-color:" + uses[f.link.supplier].colour }), f.title));
      if (k === on.length - 1) parts.push(el("div", { class: "up-small", text: put("Widest line: {a} m²; largest ring: {b} m² within a building. Which supplier serves whom may not be unique.", { a: number(f.top), b: number(f.biggest) }) }));
    });
    fields.filter(f => map.hasLayer(f.group)).forEach(({ field }) => parts.push(el("b", { text: field.name + ", " + field.unit }),
      field.classes.map(([name, colour]) => el("div", {}, el("i", { style: "background:" + colour + ";opacity:" + data.opacity }), name)),
      field.lines.map(l => el("div", {}, el("i", { class: "up-line" }), l.label + (l.shape.coordinates.length ? "" : ", " + t("not reached"))))));
    legend.replaceChildren(...parts.flat());
  }
  function show() {
    dim = fields.some(f => map.hasLayer(f.group));
    paint();
    key();
  }

  /* ---- filter and search ---- */
  const pick = (label, options, onchange) => {
    const select = el("select", { onchange: () => onchange(select.value) }, options.map(([value, text]) => el("option", { value, text })));
    return el("label", {}, el("span", { text: label }), select);
  };
  const wanted = { use: "", action: "", room: "" };
  const left = i => p.max_far[i] == null ? null : p.max_far[i] - p.far[i];
  const rooms = { none: i => left(i) != null && left(i) < 0.05, some: i => left(i) != null && left(i) >= 0.05 };
  function filter() {
    hidden.clear();
    every.forEach(i => {
      const fits = (!wanted.use || p.gfa[+wanted.use][i] > 0) && (!wanted.action || p.action[i] === wanted.action) && (!wanted.room || rooms[wanted.room](i));
      if (!fits) hidden.add(i);
    });
    found.textContent = hidden.size ? put("{n} of {m} parcels shown", { n: number(count - hidden.size), m: number(count) }) : "";
    show();
  }
  const found = el("p", { class: "up-small", role: "status" });
  function search(text) {
    const sought = text.trim().toLowerCase();
    if (!sought) { found.textContent = ""; return; }
    const lower = p.id.map(id => id.toLowerCase());
    let i = lower.indexOf(sought);
    const like = every.filter(k => lower[k].includes(sought));
    if (i < 0 && like.length) i = like[0];
    found.textContent = i < 0 ? put("No parcel is called {id}", { id: text }) : like.length > 1 ? put("{n} parcels match; the first is shown", { n: number(like.length) }) : "";
    if (i >= 0) { map.fitBounds(parcels[i].getBounds(), { maxZoom: 18, padding: [80, 80] }); open(i); }
  }

  /* ---- today beside the plan: one side of a line each ---- */
  const past = L.layerGroup();
  const slider = el("input", { type: "range", min: 0, max: 100, value: 50, class: "up-swipe", "aria-label": put("{a} to the left of this line, {b} to its right", { a: sides[0], b: sides[1] }), hidden: "" });
  function clip() {
    const size = map.getSize(), corner = map.containerPointToLayerPoint([0, 0]), end = map.containerPointToLayerPoint(size);
    const x = corner.x + size.x * slider.value / 100;
    map.getPane("up-today").style.clip = "rect(" + [corner.y, x, end.y, corner.x].map(v => v + "px").join(" ") + ")";
    map.getPane("overlayPane").style.clip = "rect(" + [corner.y, end.x, end.y, x].map(v => v + "px").join(" ") + ")";
  }
  function swipe(on) {
    if (on && view !== "plan") window.upstairsMap.show("plan");
    if (on && !past.getLayers().length) shapes.forEach((shape, i) => L.polygon(shape, { renderer: canvas["up-today"], color: "#444", weight: 0.6,
      fillColor: colourOf(views.today, i), fillOpacity: fills.shown, interactive: false }).addTo(past));
    on ? past.addTo(map) : past.remove();
    slider.hidden = !on;
    map[on ? "on" : "off"]("move zoom viewreset resize", clip);
    if (on) clip(); else map.getPane("overlayPane").style.clip = "";
  }
  slider.addEventListener("input", clip);

  /* ---- the panel ---- */
  const tick = (label, onchange) => {
    const box = el("input", { type: "checkbox", onchange: () => onchange(box.checked) });
    return el("label", { class: "up-tick" }, box, el("span", { text: label }));
  };
  const fold = (title, inside, opened) => inside.length
    ? el("details", opened ? { open: "" } : {}, el("summary", { text: title }), ...inside) : null;
  const whichUse = pick(t("Use"), uses.map((u, k) => [k, u.label]), k => { shared = +k; show(); });
  whichUse.hidden = true;
  const choice = pick(t("Show"), Object.entries(views).map(([name, v]) => [name, v.title]), name => {
    view = name;
    /* Both sides of the line show what the legend says. */
    if (name !== "plan" && !slider.hidden) swiping.firstChild.click();
    whichUse.hidden = name !== "share";
    show();
  });
  const ways = flows.filter((f, l) => data.flows[l] && (data.flows[l].street.length || data.flows[l].inside.length))
    .map(f => tick(f.title, on => { on ? f.group.addTo(map) : f.group.remove(); show(); }));
  const layers = fields.map(f => tick(f.field.name, on => {
    /* The colours of two fields at once are in no legend. */
    if (on) fields.forEach((other, k) => { if (other !== f) { other.group.remove(); layers[k].firstChild.checked = false; } });
    on ? f.group.addTo(map) : f.group.remove();
    show();
  }));
  const swiping = tick(put("Swipe: {a} | {b}", { a: sides[0], b: sides[1] }), swipe);
  const narrow = map.getSize().x < 600;
  const panel = el("div", { class: "up-box up-panel" },
    fold(data.title, [el("table", { class: "up-facts" }, data.facts.map(([name, ...values]) => el("tr", {}, el("th", { scope: "row", text: name }),
        values.map(text => el("td", { text, colspan: 3 - values.length }))))),
      ...data.notes.map(text => el("p", { class: "up-note", text }))], !narrow),
    fold(t("View"), [choice, whichUse, swiping, legend], true),
    fold(t("Linkages along streets"), ways, false),
    fold(t("Noise and air"), layers, false),
    fold(t("Find and filter"), [
      el("label", {}, el("span", { text: t("Parcel") }), el("input", { type: "search", class: "up-search", onchange: e => search(e.target.value) })),
      pick(t("Has"), [["", t("any use")], ...uses.map((u, k) => [k, u.label])], v => { wanted.use = v; filter(); }),
      pick(t("What happens"), [["", t("anything")], ...actions.map(a => [a, data.actions[a][0]])], v => { wanted.action = v; filter(); }),
      pick(t("Floor area left"), [["", t("any")], ["none", t("none: zoning is used up")], ["some", t("some")]], v => { wanted.room = v; filter(); }),
      found], false),
    fold(t("Rules"), data.rules.length ? [el("table", { class: "up-rules" }, data.rules.map(r => el("tr", { class: r.met ? "" : "up-missed" },
      el("th", { scope: "row", text: r.name }), el("td", { text: r.said }))))] : [], false));
  panel.firstChild.querySelector("summary").classList.add("up-name");
  for (const box of [panel, section]) {
    L.DomEvent.disableClickPropagation(box);
    L.DomEvent.disableScrollPropagation(box);
  }
  const frame = map.getContainer();
  frame.append(panel, section, slider);
  L.DomEvent.disableClickPropagation(slider);
  document.addEventListener("keydown", e => { if (e.key === "Escape") shut(); });
  const north = L.control({ position: "bottomright" });
  north.onAdd = () => el("div", { class: "up-north", title: t("North"), "aria-label": t("North"), role: "img" }, el("span", { text: "▲" }), el("span", { text: t("N") }));
  north.addTo(map);
  if (map.zoomControl) map.zoomControl.setPosition("bottomright");
  map.attributionControl.addAttribution(data.attribution);

  const stands = every.filter(i => p.stack[i].length);
  const bounds = L.latLngBounds((stands.length ? stands : every).flatMap(i => { const b = parcels[i].getBounds(); return [b.getSouthWest(), b.getNorthEast()]; }));
  show(); // the panel is as large as what it says
  map.fitBounds(bounds, narrow ? { paddingTopLeft: [10, panel.offsetHeight + 16], paddingBottomRight: [10, 30] } : { paddingTopLeft: [Math.min(panel.offsetWidth + 20, map.getSize().x * 0.6), 15], paddingBottomRight: [15, 15] });
  if (data.sides) swiping.firstChild.click();
  window.upstairsMap = { map, data, views, parcels, flows, fields, hidden, open, search, swipe,
    show: name => { choice.lastChild.value = name; choice.lastChild.dispatchEvent(new Event("change")); }, opened: () => opened, colour: i => parcels[i].options.fillColor };
}
