"""Contrast of text with what lies behind it, as a browser draws it, by the formula of WCAG 2.1."""

FAINT = """
    const parts = colour => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const over = ([r, g, b, a = 1], below) => [r, g, b].map((v, k) => a * v + (1 - a) * below[k]);
    const light = rgb => {
      const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = node => node
      ? over(parts(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : [255, 255, 255];
    document.querySelectorAll("details").forEach(d => d.open = true);
    const faint = [];
    let looked = 0;
    document.querySelectorAll("body *").forEach(node => {
      const own = [...node.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join("");
      const style = getComputedStyle(node);
      if (!own || !node.getClientRects().length || style.visibility === "hidden") return;
      const back = behind(node);
      const ink = over(parts(node instanceof SVGElement ? style.fill : style.color), back);
      const [dark, bright] = [light(ink), light(back)].sort((a, b) => a - b);
      looked += 1;
      if ((bright + 0.05) / (dark + 0.05) < 4.5) faint.push([own.slice(0, 40), ink, back]);
    });
    return [looked, faint];
"""
"""A script that returns how many texts a page shows and those whose contrast is less than 4.5."""
