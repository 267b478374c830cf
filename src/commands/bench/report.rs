//! What a benchmark has found, beside what is wanted.

use std::io::Write as _;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// How results are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// Arguments of benchmarks that know what is wanted.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Telling {
    /// Print one JSON object instead of tables.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Fail if something is missed that is wanted. Without it the exit code says only whether it could be measured.
    #[arg(long)]
    check: bool,
}

/// What is wanted of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

/// One thing that was measured.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    wanted: Option<Wanted>,
}

impl Figure {
    /// A figure of which nothing is wanted.
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, wanted: None }
    }

    pub(super) fn at_most(self, limit: f64) -> Self {
        Self { wanted: Some(Wanted::AtMost(limit)), ..self }
    }

    pub(super) fn at_least(self, limit: f64) -> Self {
        Self { wanted: Some(Wanted::AtLeast(limit)), ..self }
    }

    fn missed(&self) -> bool {
        match self.wanted {
            Some(Wanted::AtMost(limit)) => self.value > limit,
            Some(Wanted::AtLeast(limit)) => self.value < limit,
            None => false,
        }
    }

    fn wanted(&self) -> String {
        match self.wanted {
            Some(Wanted::AtMost(limit)) => format!("at most {limit}"),
            Some(Wanted::AtLeast(limit)) => format!("at least {limit}"),
            None => String::new(),
        }
    }

    fn json(&self) -> Value {
        let mut json = json!({"value": self.value, "unit": self.unit});
        match self.wanted {
            Some(Wanted::AtMost(limit)) => json["atMost"] = limit.into(),
            Some(Wanted::AtLeast(limit)) => json["atLeast"] = limit.into(),
            None => {}
        }
        json
    }
}

impl Telling {
    /// Tells it; an error where something is missed that is to be checked.
    pub(super) fn tell(&self, head: &str, figures: &[Figure]) -> anyhow::Result<()> {
        let text = match self.output {
            Output::Json => {
                let fields = figures.iter().map(|figure| (figure.name.clone(), figure.json()));
                format!("{}\n", Value::Object(fields.collect()))
            }
            Output::Table => format!("{head}\n{}\n", table(figures)),
        };
        std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
        let missed: Vec<&str> = figures.iter().filter(|f| f.missed()).map(|f| f.name.as_str()).collect();
        ensure!(!self.check || missed.is_empty(), "missed: {}", missed.join(", "));
        Ok(())
    }
}

fn table(figures: &[Figure]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_header(["figure", "measured", "unit", "wanted", ""]);
    for figure in figures {
        let missed = if figure.missed() { "missed" } else { "" };
        let value = format!("{:.2}", figure.value);
        table.add_row([figure.name.clone(), value, figure.unit.to_owned(), figure.wanted(), missed.to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_fails_only_where_it_is_checked() {
        let figure = Figure::new("a", 2.0, "ms");
        let rows = [
            (figure.clone(), false),
            (figure.clone().at_most(2.0), false),
            (figure.clone().at_most(1.9), true),
            (figure.clone().at_least(2.0), false),
            (figure.at_least(2.1), true),
        ];
        for (figure, missed) in rows {
            assert_eq!(figure.missed(), missed, "{figure:?}");
            for check in [false, true] {
                let told = Telling { output: Output::Json, check }.tell("", std::slice::from_ref(&figure));
                assert_eq!(told.is_err(), check && missed);
            }
        }
    }
}
