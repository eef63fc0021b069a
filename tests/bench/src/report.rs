// SPDX-License-Identifier: Apache-2.0
//! From samples to rows: medians per regime, ratios, goals; printed and as JSON.

use serde_json::{json, Value};

use crate::percentile::median;

/// How far the two cores are from each other at the moment: virtual machines move.
#[derive(Clone, Copy, PartialEq)]
pub enum Regime {
    Near,
    Far,
    /// It does not matter to what was measured.
    Any,
}

/// What a value is divided by.
#[derive(Clone, Copy)]
pub enum Reference {
    /// The raw line around the sample.
    Line,
    /// Another metric of the same round; both are taken relative to their lines.
    Of(&'static str),
    Nothing,
}

#[derive(Clone, Copy)]
pub enum Goal {
    RatioAtMost(f64),
    RatioAtLeast(f64),
    ValueAtMost(f64),
}

#[derive(Clone, Copy)]
pub struct Metric {
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    reference: Reference,
    goal: Option<Goal>,
}

impl Metric {
    /// Nanoseconds, which mean little without the raw line of the moment.
    pub const fn time(id: &'static str, title: &'static str) -> Metric {
        Metric {
            id,
            title,
            unit: "ns",
            reference: Reference::Line,
            goal: None,
        }
    }

    pub const fn plain(id: &'static str, title: &'static str, unit: &'static str) -> Metric {
        Metric {
            id,
            title,
            unit,
            reference: Reference::Nothing,
            goal: None,
        }
    }

    pub const fn quotient(id: &'static str, title: &'static str, reference: Reference) -> Metric {
        Metric {
            id,
            title,
            unit: "",
            reference,
            goal: None,
        }
    }

    pub const fn with_goal(self, goal: Goal) -> Metric {
        Metric {
            goal: Some(goal),
            ..self
        }
    }
}

/// One measurement and the raw line around it.
pub struct Sample {
    pub round: usize,
    pub metric: Metric,
    pub value: f64,
    pub line_ns: f64,
    /// `None` when the machine changed regime in between, or a process lost its core.
    pub regime: Option<Regime>,
}

impl Goal {
    fn text(self, unit: &str) -> String {
        match self {
            Goal::RatioAtMost(limit) => format!("<= {limit} x"),
            Goal::RatioAtLeast(limit) => format!(">= {limit} x"),
            Goal::ValueAtMost(limit) => format!("<= {limit} {unit}"),
        }
    }

    fn is_met(self, value: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Goal::RatioAtMost(limit) => ratio.map(|ratio| ratio <= limit),
            Goal::RatioAtLeast(limit) => ratio.map(|ratio| ratio >= limit),
            Goal::ValueAtMost(limit) => Some(value <= limit),
        }
    }
}

/// Ratio of a sample to its reference, if that was measured in the same regime.
fn ratio(sample: &Sample, all: &[Sample]) -> Option<f64> {
    match sample.metric.reference {
        Reference::Nothing => None,
        Reference::Line => Some(sample.value / sample.line_ns),
        Reference::Of(id) => {
            let other = all
                .iter()
                .find(|other| other.round == sample.round && other.metric.id == id)?;
            (other.regime == sample.regime)
                .then(|| (sample.value / sample.line_ns) / (other.value / other.line_ns))
        }
    }
}

fn rows_of(metric: Metric, samples: &[Sample]) -> Vec<Value> {
    let of_metric = |sample: &&Sample| sample.metric.id == metric.id;
    [Regime::Near, Regime::Far, Regime::Any]
        .into_iter()
        .filter_map(|regime| {
            let chosen: Vec<&Sample> = samples
                .iter()
                .filter(of_metric)
                .filter(|sample| sample.regime == Some(regime))
                .collect();
            let value = median(chosen.iter().map(|sample| sample.value).collect())?;
            let ratios = chosen.iter().filter_map(|sample| ratio(sample, samples));
            let ratio = median(ratios.collect());
            Some(json!({
                "id": metric.id,
                "title": metric.title,
                "regime": match regime {
                    Regime::Near => "near",
                    Regime::Far => "far",
                    Regime::Any => "any",
                },
                "value": if metric.unit.is_empty() { None } else { Some(value) },
                "unit": metric.unit,
                "ratio": ratio,
                "ratio_to": match metric.reference {
                    Reference::Line => "line",
                    Reference::Of(_) | Reference::Nothing => "",
                },
                "goal": metric.goal.map(|goal| goal.text(metric.unit)),
                "met": metric.goal.and_then(|goal| goal.is_met(value, ratio)),
                "samples": chosen.len(),
            }))
        })
        .collect()
}

/// One row for each metric and regime that was seen.
pub fn rows(samples: &[Sample]) -> Vec<Value> {
    let mut done: Vec<&str> = Vec::new();
    let mut rows = Vec::new();
    for sample in samples {
        if !done.contains(&sample.metric.id) {
            done.push(sample.metric.id);
            rows.extend(rows_of(sample.metric, samples));
        }
    }
    rows
}

fn number(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_string(),
        Some(value) if value.abs() >= 1000.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// Rows of any section, aligned for a terminal.
pub fn print(heading: &str, rows: &[Value]) {
    println!("\n{heading}");
    println!(
        "  {:<53} {:<6} {:>9} {:<5} {:>6} {:<7} {:<11} {:<4} {:>4}",
        "what", "regime", "median", "", "ratio", "to", "goal", "met", "n"
    );
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or("").to_string();
        let met = match row["met"].as_bool() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        println!(
            "  {:<53} {:<6} {:>9} {:<5} {:>6} {:<7} {:<11} {:<4} {:>4}",
            text("title"),
            text("regime"),
            number(&row["value"]),
            text("unit"),
            number(&row["ratio"]),
            text("ratio_to"),
            text("goal"),
            met,
            row["samples"].as_u64().unwrap_or(1),
        );
    }
}
