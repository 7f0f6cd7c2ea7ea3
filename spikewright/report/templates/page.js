(() => {
  "use strict";
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const toggle = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const NARROW = 480;
  const SEPARATOR = "\u241f";
  const hiddenMarks = new Set(), hiddenNetworks = new Set();
  const drawnAt = new Map();
  let chosen = null;
  let range = "whole";

  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const theme = () => chosen || (system.matches ? "dark" : "light");

  /* "$s1" and "$s1/0.2" are the style sheet's colour --s1, with an opacity; other text is itself. */
  const colour = (text) => {
    const [, name, opacity] = /^\$([a-z0-9]+)(?:\/([\d.]+))?$/.exec(text) || [];
    const hex = name ? getComputedStyle(root).getPropertyValue(`--${name}`).trim() : "";
    if (!hex) return text;
    if (!opacity) return hex;
    const full = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
    const part = (at) => parseInt(full.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${opacity})`;
  };
  const coloured = (value) => {
    if (typeof value === "string") return colour(value);
    if (Array.isArray(value)) return value.map(coloured);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v)]));
    }
    return value;
  };

  /* What is not chosen is left out. Names stand beside the ends of curves where there is room, and
     only over the whole range, for which their places were found; else the legend tells them. */
  const shown = (marks, network) =>
    (!marks || marks.some((mark) => !hiddenMarks.has(mark))) && !hiddenNetworks.has(network);
  const fitted = (figure, width) => {
    const layout = figure.layout;
    const named = (layout.annotations || []).some((a) => a.name);
    const bare = width < NARROW || range !== "whole";
    layout.annotations = (layout.annotations || []).filter((a) => {
      if (!a.name) return true;
      if (bare) return false;
      const [marks, network] = a.name.split(SEPARATOR);
      return shown(marks.split(","), network);
    });
    if (bare && named) layout.margin.r = 14;
    if (layout.meta && layout.meta[range]) layout.yaxis.range = layout.meta[range];
    figure.data = figure.data.filter((t) => !t.meta || shown(t.meta.marks, t.meta.network));
    return figure;
  };

  const draw = (name) => {
    const place = document.getElementById(name);
    if (!place.clientWidth) return; /* in a closed or hidden section: drawn when it opens */
    drawnAt.set(name, place.clientWidth);
    const figure = fitted(coloured(figures[name]), place.clientWidth);
    figure.layout.width = place.clientWidth; /* react() alone would keep the width it had */
    Plotly.react(name, figure.data, figure.layout, {
      displayModeBar: false, showTips: false, responsive: false,
    });
  };
  const drawAll = () => Object.keys(figures).forEach(draw);
  const show = (name) => {
    root.dataset.theme = name;
    toggle.textContent = name === "dark" ? "Light" : "Dark";
    drawAll();
  };

  toggle.addEventListener("click", () => {
    chosen = theme() === "dark" ? "light" : "dark";
    show(chosen);
  });
  system.addEventListener("change", () => show(theme()));
  /* Plots and the widest tables do not shrink by themselves: the page takes the width of paper
     before they are drawn. */
  window.addEventListener("beforeprint", () => {
    root.dataset.print = "yes";
    show("light");
    all("table.layers").filter((table) => table.clientWidth).forEach((table) => {
      table.style.zoom = Math.min(1, table.parentElement.clientWidth / table.scrollWidth);
    });
  });
  window.addEventListener("afterprint", () => {
    delete root.dataset.print;
    all("table.layers").forEach((table) => { table.style.zoom = ""; });
    show(theme());
  });

  /* Sorting: numbers by value, names by alphabet, what is missing last; again for the other way. */
  const keyOf = (row, column) => {
    const cell = row.children[column];
    const text = (cell.dataset.value ?? cell.textContent).trim();
    if (text === "" || text === "–" || text === "None") return null;
    const number = Number(text.replaceAll(",", "").replace(/ ?%.*$/, ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  const sorted = (rows, column, sign) =>
    rows
      .map((row) => [keyOf(row, column), row])
      .sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * compare(a, b);
      })
      .map(([, row]) => row);
  all("table.sortable").forEach((table) => {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        body.append(...sorted([...body.rows], column, down ? -1 : 1));
      });
    });
  });

  /* Choices: which runs, networks and parts are shown, and how much of the accuracy axis. */
  const filter = () => {
    all("table.filtered tbody tr").forEach((row) => {
      row.hidden = !shown([row.dataset.mark], row.dataset.network);
    });
    drawAll();
  };
  const choose = (attribute, hidden, then) => {
    all(`input[data-${attribute}]`).forEach((box) => {
      const value = box.dataset[attribute];
      box.checked = true; /* browsers restore boxes on reload, plots start whole */
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(value); else hidden.add(value);
        then(value, box.checked);
      });
    });
  };
  choose("mark", hiddenMarks, filter);
  choose("network", hiddenNetworks, filter);
  choose("part", new Set(), (value, on) => {
    all(`section[data-part="${value}"]`).forEach((part) => { part.hidden = !on; });
  });
  all("input[name=range]").forEach((box) => {
    box.checked = box.value === range;
    box.addEventListener("change", () => {
      range = box.value;
      drawAll();
    });
  });
  /* One of several panels, each with its plots: what an option names is shown. */
  all("select[data-panels]").forEach((select) => {
    select.selectedIndex = 0;
    select.addEventListener("change", () => {
      [...select.options].forEach(({ value }) => {
        document.getElementById(value).hidden = value !== select.value;
      });
      all(".plot", document.getElementById(select.value)).forEach((plot) => draw(plot.id));
    });
  });
  all("button[data-open]").forEach((button) => {
    button.addEventListener("click", () => {
      all("details.run").forEach((run) => { run.open = button.dataset.open === "all"; });
    });
  });
  all("form.choice").forEach((form) => {
    form.addEventListener("submit", (event) => event.preventDefault());
  });
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.matches("details")) target.open = true;
  };
  window.addEventListener("hashchange", reveal);

  const fit = new ResizeObserver((changes) => {
    changes.forEach(({ target }) => {
      if (target.clientWidth !== drawnAt.get(target.id)) draw(target.id);
    });
  });

  reveal();
  show(theme());
  Object.keys(figures).forEach((name) => fit.observe(document.getElementById(name)));
  root.dataset.ready = "yes";
})();
