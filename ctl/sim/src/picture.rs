// SPDX-License-Identifier: GPL-2.0
//! The findings as a picture.

use ihmp_sim::crowd::Event;
use ihmp_sim::formula::{Protocol, FIGURE_13_CONNECTIONS};

use crate::suite::Suite;

/// A panel's size, and what surrounds it.
const WIDE: f64 = 300.0;
const HIGH: f64 = 230.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 96.0;
const GAP: f64 = 74.0;

fn colour(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Ihmp => "#2171b5",
        Protocol::Mptcp => "#cb181d",
        Protocol::Hip => "#d98200",
        Protocol::Mipv6 => "#6a51a3",
    }
}

/// A logarithmic axis: least, most, and the values that are marked.
struct Axis {
    least: f64,
    most: f64,
    marks: &'static [f64],
}

impl Axis {
    /// Where a value is between the ends.
    fn part(&self, value: f64) -> f64 {
        let inside = value.clamp(self.least, self.most);
        (inside / self.least).ln() / (self.most / self.least).ln()
    }
}

/// A panel with its axes drawn.
struct Panel {
    x0: f64,
    x: Axis,
    y: Box<dyn Fn(f64) -> f64>,
    svg: Vec<String>,
}

impl Panel {
    fn new(
        column: u32,
        title: &str,
        below: &str,
        x: Axis,
        marks: &[f64],
        y: Box<dyn Fn(f64) -> f64>,
    ) -> Panel {
        let x0 = LEFT + f64::from(column) * (WIDE + GAP);
        let mut panel = Panel {
            x0,
            x,
            y,
            svg: vec![],
        };
        panel.text(x0, TOP - 12.0, title, "font-weight=\"bold\"");
        for mark in marks {
            let height = panel.at_y(*mark);
            panel.line((x0, height), (x0 + WIDE, height), "#ddd");
            panel.text(
                x0 - 6.0,
                height + 4.0,
                &mark.to_string(),
                "text-anchor=\"end\" fill=\"#555\"",
            );
        }
        for mark in panel.x.marks {
            let place = panel.at_x(*mark);
            panel.line((place, TOP), (place, TOP + HIGH), "#eee");
            panel.text(
                place,
                TOP + HIGH + 16.0,
                &mark.to_string(),
                "text-anchor=\"middle\" fill=\"#555\"",
            );
        }
        panel.text(
            x0 + WIDE / 2.0,
            TOP + HIGH + 34.0,
            below,
            "text-anchor=\"middle\" fill=\"#555\"",
        );
        panel
    }

    fn at_x(&self, value: f64) -> f64 {
        self.x0 + WIDE * self.x.part(value)
    }

    fn at_y(&self, value: f64) -> f64 {
        TOP + HIGH * (1.0 - (self.y)(value))
    }

    fn text(&mut self, x: f64, y: f64, text: &str, style: &str) {
        self.svg.push(format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{text}</text>"
        ));
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
        self.svg.push(format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"));
    }

    fn curve(&mut self, points: &[(f64, f64)], colour: &str, more: &str) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", self.at_x(*x), self.at_y(*y)))
            .collect();
        let points = points.join(" ");
        self.svg.push(format!("<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" {more}/>"));
    }

    fn dot(&mut self, x: f64, y: f64, colour: &str) {
        let (x, y) = (self.at_x(x), self.at_y(y));
        self.svg.push(format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
        ));
    }
}

/// Messages of a hand-off over peers or connections.
fn messages(
    column: u32,
    title: &str,
    below: &str,
    x: Axis,
    rows: &[(u64, u64, [u64; 4])],
) -> Vec<String> {
    let y = Axis {
        least: 1.0,
        most: 5_000.0,
        marks: &[1.0, 10.0, 100.0, 1_000.0],
    };
    let marks = y.marks;
    let mut panel = Panel::new(
        column,
        title,
        below,
        x,
        marks,
        Box::new(move |value| y.part(value)),
    );
    for (at, protocol) in Protocol::ALL.into_iter().enumerate() {
        let points: Vec<(f64, f64)> = rows
            .iter()
            .map(|(x, _, formulas)| (*x as f64, formulas[at] as f64))
            .collect();
        panel.curve(&points, colour(protocol), "");
    }
    for (x, counted, _) in rows {
        panel.dot(*x as f64, *counted as f64, colour(Protocol::Ihmp));
    }
    panel.svg
}

/// Which share of the pairs agreed within so many round trips.
fn agreement(column: u32, suite: &Suite) -> Vec<String> {
    let Some((hosts, outcome)) = &suite.largest else {
        return vec![];
    };
    let title = format!("Pairs that agree again, {hosts} hosts");
    let x = Axis {
        least: 0.25,
        most: 64.0,
        marks: &[0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
    };
    let below = "round trips since the last change";
    let marks = [0.0, 0.25, 0.5, 0.75, 1.0];
    let mut panel = Panel::new(column, &title, below, x, &marks, Box::new(|share| share));
    for (line, (event, colour, what)) in [
        (Event::Gain, "#41ab5d", "a network comes (soft)"),
        (Event::Lose, "#888888", "the old one goes (soft)"),
        (Event::Return, "#2171b5", "a new one after none (hard)"),
    ]
    .into_iter()
    .enumerate()
    {
        let share = |thousandth: usize| {
            Some((
                outcome.within(Some(event), thousandth)?,
                thousandth as f64 / 1000.0,
            ))
        };
        let points: Vec<(f64, f64)> = (0..=200).filter_map(|part| share(part * 5)).collect();
        panel.curve(&points, colour, "");
        let height = TOP + HIGH - 50.0 + 17.0 * line as f64;
        let x = panel.x0 + WIDE - 182.0;
        panel.line((x, height - 4.0), (x + 16.0, height - 4.0), colour);
        panel.text(x + 22.0, height, what, "");
    }
    panel.svg
}

/// The whole picture.
pub(crate) fn draw(suite: &Suite) -> String {
    let width = LEFT + 3.0 * WIDE + 2.0 * GAP + 30.0;
    let height = TOP + HIGH + 56.0;
    let mut svg = vec![
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned(),
        "<!-- SPDX-License-Identifier: GPL-2.0 -->".to_owned(),
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\" fill=\"#222\">"
        ),
        format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>"),
        format!("<text x=\"{LEFT}\" y=\"28\" font-size=\"18\" font-weight=\"bold\">What a hand-off costs, in simulation</text>"),
        format!("<g transform=\"translate({LEFT},54)\">"),
    ];
    let mut x = 0;
    for protocol in Protocol::ALL {
        let name = protocol.name();
        let colour = colour(protocol);
        svg.push(format!(
            "<line x1=\"{x}\" x2=\"{}\" y1=\"-4\" y2=\"-4\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{}\">{name}</text>",
            x + 18,
            x + 24
        ));
        x += 84;
    }
    svg.push(format!(
        "<circle cx=\"{}\" cy=\"-4\" r=\"3.5\" fill=\"{}\"/><text x=\"{}\">messages that were counted; lines: the formulas of the \
         paper, one address at each end</text></g>",
        x + 4,
        colour(Protocol::Ihmp),
        x + 14
    ));
    let peers = Axis {
        least: 1.0,
        most: 100.0,
        marks: &[1.0, 10.0, 100.0],
    };
    let title = format!("Messages, {FIGURE_13_CONNECTIONS} connections with each peer");
    svg.extend(messages(0, &title, "peers", peers, &suite.by_peers));
    let connections = Axis {
        least: 1.0,
        most: 1_000.0,
        marks: &[1.0, 10.0, 100.0, 1_000.0],
    };
    svg.extend(messages(
        1,
        "Messages, one peer",
        "connections",
        connections,
        &suite.by_connections,
    ));
    svg.extend(agreement(2, suite));
    svg.extend(["</svg>".to_owned(), String::new()]);
    svg.join("\n")
}
