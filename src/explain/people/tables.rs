//! The tables of nodes: those that fit with their scores, and those that do not with their reasons.

use std::collections::BTreeMap;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table};
use plimsoll_engine::decide::{Explanation, NodeVerdict};
use plimsoll_framework::intern::Istr;

use super::{BEST_SHOWN, FEW_NODES, Fit, Style, count, names};
use crate::table::{plain, text};

/// What stands for the plugin where PreFilter had left a node out.
const PRE_FILTER: &str = "(PreFilter)";

/// Both tables, each where it has rows.
pub(super) fn all(explanation: &Explanation, fits: &[Fit<'_>], now_on: Option<&Istr>, style: Style) -> String {
    let rejected: Vec<(&Istr, &NodeVerdict)> =
        explanation.nodes.iter().filter_map(|(name, verdict)| Some((name, verdict.as_ref().err()?))).collect();
    let every = style.wide || explanation.nodes.len() <= FEW_NODES;
    let mut out = String::new();
    if !fits.is_empty() {
        let shown = if every { fits } else { fits.get(..BEST_SHOWN.min(fits.len())).unwrap_or(fits) };
        out += "\n";
        out += &text(&scores(shown, now_on, style));
        if shown.len() < fits.len() {
            out += &format!("and {} more that fit\n", fits.len() - shown.len());
        }
        out += &alike(shown, style);
    }
    if !rejected.is_empty() {
        out += "\n";
        out += &text(&if every { reasons(&rejected, now_on, style) } else { summed(&rejected, now_on, style) });
    }
    out
}

fn node(name: &Istr, now_on: Option<&Istr>) -> String {
    if now_on == Some(name) { format!("{name} (now here)") } else { name.to_string() }
}

/// The plugins whose scores differ between these nodes; all of them where all are wanted.
fn told<'e>(fits: &[Fit<'e>], style: Style) -> Vec<&'e str> {
    let Some((_, first)) = fits.first() else { return Vec::new() };
    let differs = |at: usize, score: i64| fits.iter().any(|(_, s)| s.plugins.get(at).is_none_or(|p| p.1 != score));
    let plugins = first.plugins.iter().enumerate();
    plugins.filter(|(at, (_, score))| style.wide || differs(*at, *score)).map(|(_, (name, _))| *name).collect()
}

fn scores(fits: &[Fit<'_>], now_on: Option<&Istr>, style: Style) -> Table {
    let plugins = told(fits, style);
    let mut headings = vec!["NODE", "VERDICT", "TOTAL"];
    headings.extend(&plugins);
    let mut table = plain(&headings, style.colours);
    let best = fits.first().map(|(_, scores)| scores.total);
    for (name, scores) in fits {
        let cell = Cell::new(node(name, now_on));
        let is_best = style.colours && Some(scores.total) == best;
        let cell = if is_best { cell.fg(Color::Green).add_attribute(Attribute::Bold) } else { cell };
        let mut row = vec![cell, Cell::new("fits"), number(scores.total)];
        let score = |plugin: &&str| scores.plugins.iter().find(|(name, _)| name == plugin).map_or(0, |(_, s)| *s);
        row.extend(plugins.iter().map(|plugin| number(score(plugin))));
        table.add_row(row);
    }
    table
}

fn number(number: i64) -> Cell {
    Cell::new(number).set_alignment(CellAlignment::Right)
}

/// The scores that these nodes share.
fn alike(fits: &[Fit<'_>], style: Style) -> String {
    let told = told(fits, style);
    let Some((_, first)) = fits.first() else { return String::new() };
    let rest = first.plugins.iter().filter(|(name, _)| !told.contains(name));
    let parts: Vec<String> = rest.map(|(name, score)| format!("{name} {score}")).collect();
    match (parts.as_slice(), fits.len()) {
        ([], _) => String::new(),
        (parts, 1) => format!("{}\n", parts.join(", ")),
        (parts, _) => format!("the same for each of them: {}\n", parts.join(", ")),
    }
}

fn plugin(verdict: &NodeVerdict, style: Style) -> Cell {
    let cell = Cell::new(if verdict.plugin.is_empty() { PRE_FILTER } else { verdict.plugin });
    if style.colours { cell.fg(Color::Yellow) } else { cell }
}

fn reasons(rejected: &[(&Istr, &NodeVerdict)], now_on: Option<&Istr>, style: Style) -> Table {
    let mut table = plain(&["NODE", "VERDICT", "WHY NOT"], style.colours);
    for (name, verdict) in rejected {
        let why = verdict.reasons.join(", ");
        table.add_row(vec![Cell::new(node(name, now_on)), plugin(verdict, style), Cell::new(why)]);
    }
    table
}

/// Nodes that say the same, together; the most first.
fn summed(rejected: &[(&Istr, &NodeVerdict)], now_on: Option<&Istr>, style: Style) -> Table {
    let mut kinds: BTreeMap<(&str, String), (&NodeVerdict, Vec<&Istr>)> = BTreeMap::new();
    for (name, verdict) in rejected {
        let kind = kinds.entry((verdict.plugin, verdict.reasons.join(", "))).or_insert_with(|| (verdict, Vec::new()));
        kind.1.push(name);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, (_, nodes))| std::cmp::Reverse(nodes.len()));
    let mut table = plain(&["NODES", "VERDICT", "WHY NOT", "WHICH"], style.colours);
    for ((_, why), (verdict, nodes)) in kinds {
        let here = now_on.filter(|now| nodes.contains(now)).map(|now| format!("{} among them; ", node(now, now_on)));
        let which = here.unwrap_or_default() + &names(&nodes);
        table.add_row(vec![
            Cell::new(count(nodes.len(), "node")),
            plugin(verdict, style),
            Cell::new(why),
            Cell::new(which),
        ]);
    }
    table
}
