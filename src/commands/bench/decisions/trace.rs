//! Traces: nodes and pods from files with the columns of the openb traces of Alibaba's GPU clusters.
//!
//! GPUs are an extended resource in thousandths, so that pods can ask for a part of one. Which GPU of a node they come
//! from is nobody's concern here.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

/// The extended resource.
const GPU: &str = "alibabacloud.com/gpu-milli";
/// The label with the model of a node's GPUs.
const MODEL: &str = "alibabacloud.com/gpu-card-model";

/// Rows under a line of column names. Fields have no quotes and no commas in them.
struct Rows<'a> {
    file: &'a str,
    columns: Vec<&'a str>,
    lines: Vec<(usize, Vec<&'a str>)>,
}

/// One line of a file.
struct Row<'a> {
    rows: &'a Rows<'a>,
    line: usize,
    fields: &'a [&'a str],
}

impl<'a> Rows<'a> {
    fn read(file: &'a str, text: &'a str, needed: &[&str]) -> anyhow::Result<Self> {
        let fields = |line: &'a str| line.split(',').map(str::trim).collect::<Vec<_>>();
        let mut lines = text.lines().zip(1..).map(|(line, number)| (number, line)).filter(|(_, line)| !line.is_empty());
        let columns =
            lines.next().map(|(_, line)| fields(line)).with_context(|| format!("{file}: the file is empty"))?;
        for name in needed {
            ensure!(columns.contains(name), "{file}:1: the column {name} is missing");
        }
        let rows = Self { file, lines: lines.map(|(number, line)| (number, fields(line))).collect(), columns };
        for (line, fields) in &rows.lines {
            let (has, wants) = (fields.len(), rows.columns.len());
            ensure!(has == wants, "{file}:{line}: it has {has} fields where there are {wants} columns");
        }
        Ok(rows)
    }

    fn iter(&'a self) -> impl Iterator<Item = Row<'a>> {
        self.lines.iter().map(|(line, fields)| Row { rows: self, line: *line, fields })
    }
}

impl Row<'_> {
    /// The text in a column; nothing where there is no such column.
    fn text(&self, column: &str) -> &str {
        let at = self.rows.columns.iter().position(|name| *name == column);
        at.and_then(|at| self.fields.get(at)).copied().unwrap_or_default()
    }

    fn size(&self, column: &str) -> anyhow::Result<u64> {
        let text = self.text(column);
        let place = || format!("{}:{}: {column}", self.rows.file, self.line);
        match text.parse::<i64>() {
            Ok(number) => {
                u64::try_from(number).ok().with_context(|| format!("{}: {number} is less than nothing", place()))
            }
            Err(_) => bail!("{}: {text:?} is not a whole number", place()),
        }
    }
}

/// Reads the nodes, as the API has them.
pub(super) fn nodes(path: &Path) -> anyhow::Result<Vec<Value>> {
    parse_nodes(&path.display().to_string(), &text(path)?)
}

/// Reads what pods are made of, in their order, as the API has it.
pub(super) fn pods(path: &Path) -> anyhow::Result<Vec<Value>> {
    parse_pods(&path.display().to_string(), &text(path)?)
}

fn text(path: &Path) -> anyhow::Result<String> {
    let reading = || format!("reading {}", path.display());
    let bytes = std::fs::read(path).with_context(reading)?;
    let mut text = String::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        GzDecoder::new(&*bytes).read_to_string(&mut text).with_context(reading)?;
    } else {
        (&*bytes).read_to_string(&mut text).with_context(reading)?;
    }
    Ok(text)
}

fn parse_nodes(file: &str, text: &str) -> anyhow::Result<Vec<Value>> {
    let rows = Rows::read(file, text, &["sn", "cpu_milli", "memory_mib", "gpu", "model"])?;
    ensure!(!rows.lines.is_empty(), "{file}: there are no nodes in it");
    rows.iter()
        .map(|row| {
            let name = row.text("sn");
            let resources = json!({
                "cpu": format!("{}m", row.size("cpu_milli")?), "memory": format!("{}Mi", row.size("memory_mib")?),
                GPU: row.size("gpu")?.saturating_mul(1_000).to_string(), "pods": "110",
            });
            Ok(json!({
                "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, MODEL: row.text("model") } },
                "status": { "capacity": resources, "allocatable": resources },
            }))
        })
        .collect()
}

fn parse_pods(file: &str, text: &str) -> anyhow::Result<Vec<Value>> {
    let rows = Rows::read(file, text, &["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"])?;
    ensure!(!rows.lines.is_empty(), "{file}: there are no pods in it");
    rows.iter()
        .map(|row| {
            let mut requests = json!({
                "cpu": format!("{}m", row.size("cpu_milli")?), "memory": format!("{}Mi", row.size("memory_mib")?),
            });
            let gpu_milli = row.size("num_gpu")?.saturating_mul(row.size("gpu_milli")?);
            if gpu_milli > 0 {
                requests[GPU] = gpu_milli.to_string().into();
            }
            let mut pod = json!({
                "metadata": { "name": row.text("name") },
                "spec": { "containers": [{ "name": "main", "resources": { "requests": requests } }] },
            });
            let models: Vec<&str> = row.text("gpu_spec").split('|').filter(|model| !model.is_empty()).collect();
            if !models.is_empty() {
                let one_of = json!({ "key": MODEL, "operator": "In", "values": models });
                pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
                    json!({ "nodeSelectorTerms": [{ "matchExpressions": [one_of] }] });
            }
            Ok(pod)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\n";
    const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n";

    #[test]
    fn nodes_are_read() {
        let nodes = parse_nodes("n.csv", &format!("{NODES}a,32000,262144,0,\n\nb,64000,262144,2,P100\n")).unwrap();
        let given = |at: usize, what: &str| nodes[at]["status"]["allocatable"][what].clone();
        assert_eq!([given(0, "cpu"), given(0, "memory"), given(0, GPU)], ["32000m", "262144Mi", "0"]);
        assert_eq!([given(1, "cpu"), given(1, GPU)], ["64000m", "2000"]);
        assert_eq!(nodes[1]["metadata"]["labels"][MODEL], "P100");
    }

    #[test]
    fn pods_are_read_whatever_the_order_of_the_columns() {
        let pods = parse_pods("p.csv", &format!("{PODS}a,6000,12288,1,460,\nb,1000,10,2,1000,T4|P100\n")).unwrap();
        let requests = |at: usize| pods[at]["spec"]["containers"][0]["resources"]["requests"].clone();
        assert_eq!(requests(0), json!({"cpu": "6000m", "memory": "12288Mi", GPU: "460"}));
        assert_eq!(requests(1)[GPU], "2000");
        assert_eq!(pods[0]["spec"]["affinity"], Value::Null);
        assert!(pods[1]["spec"]["affinity"].to_string().contains(r#"["T4","P100"]"#));
        let turned = parse_pods("p.csv", "gpu_milli,num_gpu,memory_mib,cpu_milli,name\n0,0,5,7,a\n").unwrap();
        assert_eq!(turned[0]["spec"]["containers"][0]["resources"]["requests"], json!({"cpu": "7m", "memory": "5Mi"}));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let rows = [
            (parse_nodes("n.csv", ""), "n.csv: the file is empty"),
            (parse_nodes("n.csv", NODES), "n.csv: there are no nodes in it"),
            (parse_nodes("n.csv", "sn,cpu_milli,gpu,model\n"), "n.csv:1: the column memory_mib is missing"),
            (
                parse_nodes("n.csv", &format!("{NODES}a,1,1,0,\nb,1,-5,0,\n")),
                "n.csv:3: memory_mib: -5 is less than nothing",
            ),
            (parse_nodes("n.csv", &format!("{NODES}a,1\n")), "n.csv:2: it has 2 fields where there are 5 columns"),
            (parse_pods("p.csv", "name,cpu_milli,memory_mib\n"), "p.csv:1: the column num_gpu is missing"),
            (parse_pods("p.csv", PODS), "p.csv: there are no pods in it"),
            (parse_pods("p.csv", &format!("{PODS}a,x,1,0,0,\n")), "p.csv:2: cpu_milli: \"x\" is not a whole number"),
            (parse_pods("p.csv", &format!("{PODS}a,1,1,,0,\n")), "p.csv:2: num_gpu: \"\" is not a whole number"),
        ];
        for (read, expect) in rows {
            assert_eq!(read.unwrap_err().to_string(), expect);
        }
        let error = nodes(Path::new("/no/such/file.csv")).unwrap_err();
        assert_eq!(error.to_string(), "reading /no/such/file.csv");
    }
}
