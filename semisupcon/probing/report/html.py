"""Build the parts of an HTML page: document, table, figure. Text is escaped, SVG is not."""

from collections.abc import Mapping, Sequence
from html import escape

from semisupcon.plots.saving import width_of

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#4d5661;--paper:#fff;--line:#d9dde3;--good:#006b3c;--bad:#a3262a}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--soft:#a9b1bb;--paper:#15181c;--line:#383e46;--good:#62d39c;--bad:#ff9191}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:78rem;margin:2rem auto;padding:0 1rem;color:var(--ink);background:var(--paper)}
h1{line-height:1.2}h3,p,code,figcaption,summary{overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:.6rem 0 1.4rem}table{border-collapse:collapse;font-size:13px}
th,td{padding:.22rem .6rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}th{border-bottom-width:2px}
td.n{text-align:right;font-variant-numeric:tabular-nums}.better{color:var(--good);font-weight:600}.worse{color:var(--bad)}
.figures{display:flex;flex-wrap:wrap;gap:1rem 1.5rem;align-items:flex-start}
figure{margin:.4rem 0;width:var(--w);max-width:100%}figcaption{font-size:13px;color:var(--soft)}
figure svg{display:block;width:100%;min-width:calc(.5*var(--w));height:auto}
summary{cursor:pointer}footer{margin-top:2.5rem;border-top:1px solid var(--line);font-size:13px;color:var(--soft)}
"""


def document(
    title: str,
    body: str,
    command: str = "",
    date: str = "",
    versions: Mapping[str, str] | None = None,
) -> str:
    """Return a complete HTML document with a heading, a body and a footer.

    Args:
        title: heading.
        body: HTML of the body.
        command, date, versions: command, date and package versions for the footer; empty values
            are omitted.
    """
    parts = [
        f"<p>Made on {escape(date)}.</p>" if date else "",
        f"<p>Command: <code>{escape(command)}</code></p>" if command else "",
        f"<p>{escape(', '.join(f'{name} {version}' for name, version in versions.items()))}</p>"
        if versions
        else "",
    ]
    footer = f"<footer>{''.join(parts)}</footer>" if any(parts) else ""
    view = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    head = f'<meta charset="utf-8">{view}<title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{escape(title)}</h1>{body}{footer}</body></html>\n'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table that scrolls horizontally. Empty columns are omitted."""
    used = [i for i in range(len(header)) if any(row[i] for row in rows)]
    head = "".join(f"<th>{escape(header[i])}</th>" for i in used)
    body = "".join("<tr>" + "".join(_cell(row[i]) for i in used) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(svg: str, caption: str) -> str:
    """Return the HTML of an SVG figure with its caption.

    The figure has at most its natural width. On narrow screens, it shrinks to half of this width;
    on still narrower ones, it scrolls.
    """
    box = f'<div style="overflow-x:auto">{svg}</div>'
    return f'<figure style="--w:{width_of(svg):.0f}px">{box}<figcaption>{escape(caption)}</figcaption></figure>'


def figures(found: Sequence[str]) -> str:
    """Return the HTML of figures side by side, in as many lines as the page width requires."""
    return f'<div class="figures">{"".join(found)}</div>'


def _cell(text: str) -> str:
    number = text[:1].isdigit() or (text[:1] in "+-" and text[1:2].isdigit())
    kind = ' class="n"' if number else f' class="{text}"' if text in ("better", "worse") else ""
    return f"<td{kind}>{escape(text)}</td>"
