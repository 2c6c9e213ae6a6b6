"""The frame of the sandbox's own pages: no script, nothing from elsewhere, readable from 360 px up."""

from __future__ import annotations

from html import escape

STATUS_WORDS = {
    "active": "ativo",
    "paused": "pausado",
    "closed": "encerrado",
    "under_review": "em revisão",
    "paid": "paga",
    "cancelled": "cancelada",
    "confirmed": "confirmada",
    "out_of_stock": "sem estoque",
    "paused_by_seller": "pausado pelo vendedor",
}
"""What people read for the API's states."""

STYLE = """
:root{color-scheme:light dark;--line:#c9ced6;--soft:#f3f5f8;--ink:#1a2330;--paper:#fff;--act:#1f5fbf;--on-act:#fff;
--bad:#a11d1d;--good:#12633a}
@media (prefers-color-scheme:dark){:root{--line:#46505f;--soft:#1d242e;--ink:#e8ecf2;--paper:#12171e;--act:#8ab8ff;
--on-act:#0b1a30;--bad:#ff9d9d;--good:#7fdcaa}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper);overflow-wrap:break-word}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:0 0 .75rem}
section{border-top:1px solid var(--line);padding:1.25rem 0}
small{opacity:.8}a{color:var(--act)}
.summary{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}
.summary div{background:var(--soft);border-radius:.5rem;padding:.5rem .9rem}
.summary dt{font-size:.85rem}.summary dd{margin:0;font-size:1.3rem;font-weight:600}
.flash{padding:.75rem 1rem;border:2px solid;border-radius:.5rem}.bad{color:var(--bad)}.good{color:var(--good)}
table{width:100%;border-collapse:collapse;margin:.5rem 0}
th,td{text-align:left;vertical-align:top;padding:.5rem;border-bottom:1px solid var(--line)}
thead th{font-size:.85rem;background:var(--soft);white-space:nowrap}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.row{display:flex;flex-wrap:wrap;gap:.5rem;align-items:end}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(16rem,100%),1fr));gap:.75rem;align-items:end;
margin-top:1rem}
label{display:grid;gap:.25rem;font-size:.9rem}
.choice{display:flex;gap:.5rem;align-items:center;min-height:44px;font-size:1rem}
fieldset{border:1px solid var(--line);border-radius:.5rem;margin:1rem 0}
input,select,button{font:inherit;min-height:44px;padding:.4rem .7rem;border-radius:.4rem;border:1px solid var(--line);
background:var(--paper);color:inherit;max-width:100%}
input[type=radio]{min-height:0;width:1.2rem;height:1.2rem}
td input[type=number]{width:5rem}td form.row{flex-wrap:nowrap}nav a{padding:.4rem 0}nav.row{gap:1rem}
button{background:var(--act);border-color:var(--act);color:var(--on-act);cursor:pointer}
button.quiet{background:transparent;color:var(--act)}
:focus-visible{outline:3px solid var(--act);outline-offset:2px}
@media (max-width:52rem){
table,tbody,tr,td{display:block;width:100%}thead{position:absolute;width:1px;height:1px;overflow:hidden;
clip-path:inset(50%)}
tr{border:1px solid var(--line);border-radius:.5rem;margin-bottom:.75rem;padding:.25rem .5rem}
td{border:0;padding:.25rem 0;display:grid;grid-template-columns:7rem minmax(0,1fr);gap:.5rem;align-items:baseline;
overflow-wrap:anywhere}
td::before{content:attr(data-label);font-size:.8rem;opacity:.8}td>*{grid-column:2}
}
"""


def html_page(title: str, body: str) -> bytes:
    """A whole page; ``body`` is HTML, ``title`` plain text."""
    shown = escape(title)
    return (
        '<!doctype html><html lang="pt-BR"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{shown}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{shown}</h1>{body}</main></body></html>"
    ).encode()
