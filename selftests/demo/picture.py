# SPDX-License-Identifier: GPL-2.0
"""Draws the picture of the demonstration as SVG."""

COMES, GOES = "#2a7f3f", "#c0392b"


def picture(rows, plains, lasts, width_of_bin, about):
    """Returns the picture. Each row has a panel with what its receiver got, and with the same transfer without a move (plains, by case)."""
    wide, high, left, top, gap_x, gap_y, columns = 400, 150, 62, 92, 70, 74, 2
    lines = (len(rows) + columns - 1) // columns
    width, height = left + columns * wide + (columns - 1) * gap_x + 30, top + lines * (high + gap_y)
    peak = 11.0
    svg = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!-- SPDX-License-Identifier: GPL-2.0 -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="28" font-size="18" font-weight="bold">TCP goes on while its host changes networks</text>',
        f'<text x="{left}" y="47" fill="#555">Goodput at the receiver, Mb/s in {width_of_bin} s; {about}</text>',
        f'<g transform="translate({left},66)">'
        '<rect y="-8" width="18" height="9" fill="#9ecae9"/><text x="24">the host moves</text>'
        '<line x1="140" x2="160" y1="-4" y2="-4" stroke="#999" stroke-dasharray="3 2"/>'
        '<text x="166">the same transfer without a move</text>'
        f'<line x1="390" x2="390" y1="-11" y2="3" stroke="{COMES}" stroke-width="2"/>'
        '<text x="397">new network comes</text>'
        f'<line x1="530" x2="530" y1="-11" y2="3" stroke="{GOES}" stroke-width="2"/>'
        '<text x="537">old network goes</text>'
        "</g>",
    ]
    for number, (case, row) in enumerate(rows):
        x0 = left + number % columns * (wide + gap_x)
        y0 = top + 16 + number // columns * (high + gap_y)

        def x(seconds, x0=x0):
            return round(x0 + seconds / lasts * wide, 1)

        def y(rate, y0=y0):
            return round(y0 + high - min(rate, peak) / peak * high, 1)

        def steps(bins):
            points = []
            for index, size in enumerate(bins):
                rate = size * 8 / width_of_bin / 1e6
                points += [f"{x(index * width_of_bin)},{y(rate)}", f"{x((index + 1) * width_of_bin)},{y(rate)}"]
            return " ".join(points)

        who = "server moves (it sends)" if case.startswith("server") else "client moves (it receives)"
        what = f"IPv{case[case.index('tcp') + 3]}, {case.rpartition('-')[2]} hand-off, {who}"
        svg.append(f'<text x="{x0}" y="{y0 - 8}" font-weight="bold">{what}</text>')
        svg.append(f'<text x="{x0 + wide}" y="{y0 - 8}" text-anchor="end" fill="#555">'
                   f'ratio {row["goodput_ratio"]:.3f}</text>')
        for rate in (0, 5, 10):
            svg.append(f'<line x1="{x0}" x2="{x0 + wide}" y1="{y(rate)}" y2="{y(rate)}" stroke="#ddd"/>')
            svg.append(f'<text x="{x0 - 6}" y="{y(rate) + 4}" text-anchor="end" fill="#555">{rate}</text>')
        for seconds in (0, 5, 10, 15):
            svg.append(f'<text x="{x(seconds)}" y="{y0 + high + 16}" text-anchor="middle" fill="#555">'
                       f'{seconds} s</text>')
        svg.append(f'<polygon points="{x(0)},{y(0)} {steps(row["bins"])} {x(lasts)},{y(0)}" fill="#9ecae9" '
                   'stroke="#2171b5"/>')
        svg.append(f'<polyline points="{steps(plains[case])}" fill="none" stroke="#999" stroke-dasharray="3 2"/>')
        soft = case.endswith("soft")
        for moment, comes in zip(row["events"], (soft, not soft)):
            svg.append(f'<line x1="{x(moment)}" x2="{x(moment)}" y1="{y0}" y2="{y0 + high}" '
                       f'stroke="{COMES if comes else GOES}" stroke-width="2"/>')
    return "\n".join(svg + ["</svg>", ""])
