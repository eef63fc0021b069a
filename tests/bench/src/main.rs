// SPDX-License-Identifier: Apache-2.0
//! Measures Tachyon as docs/BENCHMARKS.md describes. It prints and never judges: the
//! exit status is 0 unless something broke.

mod bus;
mod cases;
mod clock;
mod instructions;
mod line;
mod link;
mod machine;
mod percentile;
mod report;
mod rpc;
mod shared;
mod shared_index;
mod wakers;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use serde_json::{json, Value};

use cases::Effort;
use clock::Clock;
use link::Link;
use machine::Pinning;
use percentile::median;
use report::{Regime, Sample};

/// The command that stands for the raw line; cases go by their place in `cases::ALL`.
const LINE: u8 = 200;
/// What CTest takes for a skipped test.
const SKIPPED: u8 = 77;

/// Measure Tachyon against the raw cache line of this machine.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// A few seconds instead of a few minutes: shows that all of it works
    #[arg(long)]
    quick: bool,
    /// Write the results as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Interpreter that can import tachyon; without it there is no Python section
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// The program that measures one listener with many peers; without it there is no such section
    #[arg(long, value_name = "PROGRAM")]
    many: Option<PathBuf>,
    /// Round trips of the raw line below this many nanoseconds are "near", others "far"
    #[arg(long, value_name = "NS", default_value_t = 200.0)]
    near_below: f64,
    #[command(subcommand)]
    command: Option<Internal>,
}

#[derive(Subcommand)]
enum Internal {
    /// Send and receive in one process, for callgrind
    #[command(hide = true)]
    Instructions {
        #[arg(long)]
        count: u64,
    },
    /// Listen for the first time in this process
    #[command(hide = true)]
    FirstListen,
}

fn measure_line(effort: &Effort, link: &mut Link) -> line::LineTimes {
    link.start(LINE);
    line::lead(link, effort.line_rounds)
}

/// One case between two looks at the raw line.
fn measure_case(
    index: usize,
    round: usize,
    effort: &Effort,
    near_below: f64,
    link: &mut Link,
) -> Vec<Sample> {
    let case = cases::ALL[index];
    let before = measure_line(effort, link).p50_ns;
    let preemptions = link.preemptions();
    link.start(index as u8);
    let values = case.lead(effort, link);
    let preempted = link.preemptions() != preemptions;
    let after = measure_line(effort, link).p50_ns;

    let regime_at = |line_ns| match line_ns < near_below {
        true => Regime::Near,
        false => Regime::Far,
    };
    let regime = match (regime_at(before), regime_at(after)) {
        _ if case.once() => Some(Regime::Any),
        (one, other) if one == other && !preempted => Some(one),
        _ => None,
    };
    let metrics = case.metrics().into_iter();
    metrics
        .zip(values)
        .map(|(metric, value)| Sample {
            round,
            metric,
            value,
            line_ns: (before + after) / 2.0,
            regime,
        })
        .collect()
}

struct Run {
    samples: Vec<Sample>,
    lines: Vec<line::LineTimes>,
}

/// Interleaved rounds over all cases, so that each sees the machine in every mood.
fn measure_all(effort: &Effort, budget: Duration, near_below: f64, link: &mut Link) -> Run {
    let mut run = Run {
        samples: Vec::new(),
        lines: Vec::new(),
    };
    let start = Instant::now();
    for round in 0.. {
        if round >= 3 && start.elapsed() > budget {
            break;
        }
        run.lines.push(measure_line(effort, link));
        for (index, case) in cases::ALL.iter().enumerate() {
            if round == 0 || !case.once() {
                let samples = measure_case(index, round, effort, near_below, link);
                run.samples.extend(samples);
            }
        }
    }
    run
}

fn line_rows(lines: &[line::LineTimes], near_below: f64) -> Vec<Value> {
    let mut rows = Vec::new();
    for (regime, is_near) in [("near", true), ("far", false)] {
        let chosen = || {
            lines
                .iter()
                .filter(move |line| (line.p50_ns < near_below) == is_near)
        };
        for (title, values) in [
            ("p50", chosen().map(|line| line.p50_ns).collect::<Vec<_>>()),
            ("p99", chosen().map(|line| line.p99_ns).collect()),
        ] {
            let samples = values.len();
            if let Some(value) = median(values) {
                rows.push(json!({
                    "id": format!("line_{title}"),
                    "title": format!("raw cache line, there and back, {title}"),
                    "regime": regime,
                    "value": value,
                    "unit": "ns",
                    "ratio": null,
                    "ratio_to": "",
                    "goal": null,
                    "met": null,
                    "samples": samples,
                }));
            }
        }
    }
    rows
}

/// bench.py prints its rows as one JSON array.
fn python_rows(python: &Path, pinning: Pinning, quick: bool) -> Result<Vec<Value>, Box<dyn Error>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench.py");
    let output = Command::new(python)
        .arg(script)
        .arg("--cores")
        .arg(format!("{},{}", pinning.lead, pinning.peer))
        .args(quick.then_some("--quick"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", python.display()))?;
    if !output.status.success() {
        return Err(format!("{script} ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// many/main.c prints its rows as one JSON array, too.
fn many_rows(many: &Path, pinning: Pinning, quick: bool) -> Result<Vec<Value>, Box<dyn Error>> {
    let output = Command::new(many)
        .arg(pinning.lead.to_string())
        .arg(pinning.peer.to_string())
        .arg(if quick { "2" } else { "40" })
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", many.display()))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", many.display(), output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn benchmark(options: &Options, pinning: Pinning) -> Result<(), Box<dyn Error>> {
    let machine = machine::describe(pinning);
    println!(
        "Tachyon {} on {}",
        bus::version(),
        machine["cpu"].as_str().unwrap_or("?")
    );
    println!(
        "{} cores{}, Linux {}, load {}; lead on core {}, peer on core {}",
        machine["cores"],
        if machine["virtual_machine"] == true {
            " of a virtual machine"
        } else {
            ""
        },
        machine["kernel"].as_str().unwrap_or("?"),
        machine["load"].as_str().unwrap_or("?"),
        pinning.lead,
        pinning.peer,
    );

    let (effort, budget) = match options.quick {
        true => (Effort::QUICK, Duration::from_millis(1_500)),
        false => (Effort::FULL, Duration::from_secs(75)),
    };
    let clock = Clock::calibrate();
    let serve = |command: u8, link: &mut Link| match command {
        LINE => line::peer(link, effort.line_rounds),
        index => cases::ALL[index as usize].peer(&effort, link),
    };
    let run = link::with_peer(pinning, clock, serve, |link| {
        measure_all(&effort, budget, options.near_below, link)
    })?;
    let samples = run.samples.iter();
    let left_out = samples.filter(|sample| sample.regime.is_none()).count();

    let lines = line_rows(&run.lines, options.near_below);
    report::print("The yardstick", &lines);
    let rows = report::rows(&run.samples);
    report::print("The core, two processes", &rows);
    if left_out > 0 {
        println!(
            "  {left_out} of {} values left out: a process lost its core, or the line \
             changed regime",
            run.samples.len()
        );
    }
    let many = match &options.many {
        Some(many) => many_rows(many, pinning, options.quick)?,
        None => Vec::new(),
    };
    if !many.is_empty() {
        report::print("One listener, many peers", &many);
    }
    let instructions = match options.quick {
        true => Vec::new(),
        false => instructions::measure()?,
    };
    if !instructions.is_empty() {
        report::print(
            "Instructions per 32-byte message (callgrind)",
            &instructions,
        );
    }
    let python = match &options.python {
        Some(python) => python_rows(python, pinning, options.quick)?,
        None => Vec::new(),
    };
    if !python.is_empty() {
        report::print("Python", &python);
    }

    if let Some(path) = &options.json {
        let results = json!({
            "version": bus::version(),
            "mode": if options.quick { "quick" } else { "full" },
            "near_below_ns": options.near_below,
            "machine": machine,
            "values": run.samples.len(),
            "left_out": left_out,
            "line": lines,
            "core": rows,
            "many": many,
            "instructions": instructions,
            "python": python,
        });
        let text = serde_json::to_string_pretty(&results)? + "\n";
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let options = Options::parse();
    match options.command {
        Some(Internal::Instructions { count }) => {
            instructions::run(count);
            return ExitCode::SUCCESS;
        }
        Some(Internal::FirstListen) => cases::first_listen::run(),
        None => (),
    }
    let Some(pinning) = Pinning::of_this_process() else {
        eprintln!("benchmarks: needs two cores, this process may use only one");
        return ExitCode::from(SKIPPED);
    };
    match benchmark(&options, pinning) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmarks: {error}");
            ExitCode::FAILURE
        }
    }
}
