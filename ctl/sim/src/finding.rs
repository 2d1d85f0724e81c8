// SPDX-License-Identifier: GPL-2.0
//! A figure that was found, as all suites write them.

use serde_json::{json, Value};

/// A figure.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// What was done.
    pub(crate) case: String,
    /// What was measured of it.
    pub(crate) metric: String,
    /// The figure; `None` when there was nothing to measure.
    pub(crate) value: Option<f64>,
    /// Its unit; `1` for counts and ratios.
    pub(crate) unit: &'static str,
    /// Whose figure it is; empty for ours.
    pub(crate) peer: &'static str,
}

impl Finding {
    fn to_json(&self) -> Value {
        let whole = self
            .value
            .filter(|value| value.fract() == 0.0 && value.abs() < 1e15);
        let value = match (whole, self.value) {
            (Some(whole), _) => json!(whole as i64),
            (None, value) => json!(value.map(|value| (value * 1e4).round() / 1e4)),
        };
        json!({
            "case": self.case,
            "metric": self.metric,
            "value": value,
            "unit": self.unit,
            "peer": self.peer,
        })
    }
}

/// The array of all of them, one to a line.
pub(crate) fn array(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .map(|finding| format!(" {}", finding.to_json()))
        .collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}
