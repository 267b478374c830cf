//! What came out, for people.

use std::collections::BTreeSet;

use comfy_table::{Attribute, Cell, Color, Table};

use super::amount::{bytes, cpu, percent};
use super::record::{Amounts, Evicted, Node, Pod, Record};
use crate::table::{plain, text};

/// More rows than this are summed up, unless all are asked for.
const FEW: usize = 40;

/// All tables and the last line. `colours` are for terminals.
pub(super) fn tables(record: &Record, wide: bool, colours: bool) -> String {
    let mut out = String::new();
    if !record.pods.is_empty() {
        let all = wide || record.pods.len() <= FEW;
        out += &text(&if all { pods(&record.pods, colours) } else { folded_pods(&record.pods, colours) });
        out += "\n";
    }
    if !record.evicted.is_empty() {
        out += &text(&evicted(&record.evicted, colours));
        out += "\n";
    }
    if !record.nodes.is_empty() {
        let all = wide || record.nodes.len() <= FEW;
        out += &text(&if all { nodes(&record.nodes, colours) } else { summed_nodes(&record.nodes) });
        out += "\n";
    }
    out + &last_line(record)
}

fn why(pod: &Pod) -> String {
    match (&pod.reason, &pod.message) {
        (Some(reason), Some(message)) if reason == "Unschedulable" => message.clone(),
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        _ => String::new(),
    }
}

fn node_cell(node: &str, pending: bool, colours: bool) -> Cell {
    let cell = Cell::new(node);
    if colours && pending { cell.fg(Color::Yellow).add_attribute(Attribute::Bold) } else { cell }
}

fn pods(pods: &[Pod], colours: bool) -> Table {
    let mut table = plain(&["NAMESPACE", "POD", "NODE", "WHY NOT"], colours);
    for pod in pods {
        let node = node_cell(pod.node.as_deref().unwrap_or("-"), pod.node.is_none(), colours);
        table.add_row(vec![Cell::new(&pod.namespace), Cell::new(&pod.name), node, Cell::new(why(pod))]);
    }
    table
}

fn evicted(pods: &[Evicted], colours: bool) -> Table {
    let mut table = plain(&["NAMESPACE", "EVICTED", "FROM", "FOR"], colours);
    for pod in pods {
        table.add_row([&pod.namespace, &pod.name, &pod.node, &pod.evicted_for]);
    }
    table
}

/// Pods of one namespace whose names have one stem and that met one fate.
struct Fold<'a> {
    namespace: &'a str,
    stem: &'a str,
    why: String,
    pods: usize,
    nodes: BTreeSet<&'a str>,
}

fn folded_pods(pods: &[Pod], colours: bool) -> Table {
    // The pods are sorted by name, so those of one stem are neighbours; of them a few fates at most.
    let mut folds: Vec<Fold<'_>> = Vec::new();
    for pod in pods {
        let (stem, why) = (stem(&pod.name), why(pod));
        let same =
            |fold: &&mut Fold<'_>| fold.why == why && fold.nodes.is_empty() == pod.node.is_none() && fold.stem == stem;
        let near = folds.iter_mut().rev().take_while(|fold| fold.namespace == pod.namespace && fold.stem == stem);
        match near.into_iter().find(same) {
            Some(fold) => {
                fold.pods += 1;
                fold.nodes.extend(pod.node.as_deref());
            }
            None => folds.push(Fold {
                namespace: &pod.namespace,
                stem,
                why,
                pods: 1,
                nodes: pod.node.as_deref().into_iter().collect(),
            }),
        }
    }
    let mut table = plain(&["NAMESPACE", "PODS", "COUNT", "NODES", "WHY NOT"], colours);
    for fold in folds {
        let name = if fold.pods == 1 { fold.stem.to_owned() } else { format!("{}-*", fold.stem) };
        let nodes = if fold.nodes.is_empty() { "-".to_owned() } else { fold.nodes.len().to_string() };
        table.add_row(vec![
            Cell::new(fold.namespace),
            Cell::new(name),
            Cell::new(fold.pods),
            node_cell(&nodes, fold.nodes.is_empty(), colours),
            Cell::new(fold.why),
        ]);
    }
    table
}

/// A name without its last part, in which the pods of one owner differ.
fn stem(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(stem, _)| stem)
}

fn share(amount: i64, of: i64) -> String {
    match percent(amount, of) {
        i64::MAX => "over".to_owned(),
        percent => format!("{percent}%"),
    }
}

/// An amount before and after, and which part of all that is: `500m -> 1.5 (37%)`.
fn change(before: i64, after: i64, of: i64, write: fn(i64) -> String) -> String {
    let part = share(after, of);
    if before == after {
        return format!("{} ({part})", write(after));
    }
    format!("{} -> {} ({part})", write(before), write(after))
}

fn nodes(nodes: &[Node], colours: bool) -> Table {
    let others: BTreeSet<&String> = nodes.iter().flat_map(|node| node.after.others.keys()).collect();
    let mut headings = vec!["NODE", "PODS", "CPU", "MEMORY"];
    headings.extend(others.iter().map(|name| name.as_str()));
    let mut table = plain(&headings, colours);
    for node in nodes {
        let Node { name, allocatable: all, before, after } = node;
        let mut row = vec![
            Cell::new(name),
            Cell::new(change(before.pods, after.pods, all.pods, |n| n.to_string())),
            Cell::new(change(before.milli_cpu, after.milli_cpu, all.milli_cpu, cpu)),
            Cell::new(change(before.memory_bytes, after.memory_bytes, all.memory_bytes, bytes)),
        ];
        row.extend(others.iter().map(|name| {
            let of = |amounts: &Amounts| amounts.others.get(*name).copied().unwrap_or(0);
            Cell::new(change(of(before), of(after), of(all), |n| n.to_string()))
        }));
        table.add_row(row);
    }
    table
}

type Column = (&'static str, fn(&Amounts) -> i64);

/// Of many nodes: how full the emptiest, the middle and the fullest one is, and all together.
fn summed_nodes(nodes: &[Node]) -> Table {
    let columns: [Column; 3] = [("pods", |a| a.pods), ("cpu", |a| a.milli_cpu), ("memory", |a| a.memory_bytes)];
    let mut table = plain(&["USE OF NODES", "LEAST", "MEDIAN", "MOST", "ALL TOGETHER"], false);
    for (name, of) in columns {
        let parts = |amounts: fn(&Node) -> &Amounts| {
            let mut parts: Vec<i64> = nodes.iter().map(|n| percent(of(amounts(n)), of(&n.allocatable))).collect();
            parts.sort_unstable();
            let sum = |amounts: fn(&Node) -> &Amounts| {
                nodes.iter().fold(0_i64, |sum, node| sum.saturating_add(of(amounts(node))))
            };
            let all = percent(sum(amounts), sum(|node| &node.allocatable));
            let at = |index: usize| parts.get(index).copied().unwrap_or(0);
            [at(0), at(parts.len() / 2), at(parts.len() - 1), all]
        };
        let (before, after) = (parts(|node| &node.before), parts(|node| &node.after));
        let written = |part: i64| if part == i64::MAX { "over".to_owned() } else { format!("{part}%") };
        let cells = before.into_iter().zip(after).map(|(before, after)| {
            if before == after { written(after) } else { format!("{} -> {}", written(before), written(after)) }
        });
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    }
    table
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What it comes to, and what was not looked at.
fn last_line(record: &Record) -> String {
    let s = &record.summary;
    let mut line = format!(
        "{} placed, {} pending; {} of {} used",
        count(s.placed, "pod", "pods"),
        s.pending,
        s.nodes_used_after,
        count(s.nodes, "node", "nodes"),
    );
    if s.nodes_used_before != s.nodes_used_after {
        line += &format!(" ({} before)", s.nodes_used_before);
    }
    line += ".\n";
    let mut notes = Vec::new();
    if s.not_taken > 0 {
        notes.push(format!("{} of other schedulers", count(s.not_taken, "pending pod", "pending pods")));
    }
    if s.on_unknown_nodes > 0 {
        notes.push(format!("{} on nodes that are not in the input", count(s.on_unknown_nodes, "pod", "pods")));
    }
    if s.finished > 0 {
        notes.push(format!("{} that have run to their end", count(s.finished, "pod", "pods")));
    }
    notes.extend(s.unused.iter().map(|(kind, number)| format!("{number} {kind}")));
    if !notes.is_empty() {
        line += &format!("Not looked at: {}.\n", notes.join(", "));
    }
    line
}
