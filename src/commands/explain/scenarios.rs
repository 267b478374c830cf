//! A file of problems, one a line, answered line by line on all cores.

mod lines;

use std::borrow::Cow;
use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::api;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::load::{self, Decoder};
use super::references;
use super::{fail, warn};
use crate::config::{Config, Defaults};
use crate::explain::{Answer, answer, decide};
use crate::manifest;
use crate::registry::Registry;
use lines::{Line, Lines};

/// Configurations are kept by their text; of more than this all are forgotten.
const MOST_CONFIGS: usize = 1_024;

/// Answers the file; gives the exit code: 2 where a line could not be answered.
pub(super) fn main(file: &Path, registry: &Registry) -> i32 {
    let input = match Lines::open(file) {
        Ok(input) => input,
        Err(error) => return fail(&error, 2),
    };
    let name = if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() };
    let solver = Solver { file: name.into(), registry, configs: Mutex::default() };
    match solver.all(input, io::stdout().lock()) {
        Ok(true) => 0,
        Ok(false) => 2,
        // Whoever was reading has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => fail(&anyhow::Error::new(error).context("writing to standard output"), 1),
    }
}

/// A line as it is written.
#[derive(Deserialize)]
struct Scenario<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    config: Option<&'a RawValue>,
    #[serde(borrow, default)]
    objects: Vec<&'a RawValue>,
    #[serde(borrow)]
    pod: &'a RawValue,
}

/// What is made of the text of a configuration.
enum Setup {
    Refused(String),
    Good(Box<Config>, Vec<Profile>),
}

/// An answer, and what is said beside it.
struct Solved {
    answer: Value,
    fault: Option<String>,
    warnings: Vec<String>,
}

struct Solver<'r> {
    file: Arc<str>,
    registry: &'r Registry,
    configs: Mutex<HashMap<String, Arc<Setup>>>,
}

impl Solver<'_> {
    /// Answers every line; whether all could be answered.
    fn all(&self, mut input: Lines, mut out: impl Write) -> io::Result<bool> {
        let mut good = true;
        loop {
            let lines = input.take();
            if lines.is_empty() {
                out.flush()?;
                return Ok(good);
            }
            for (line, solved) in lines.iter().zip(self.solve_all(&lines)) {
                let place = format!("{}:{}", self.file, line.number);
                solved.warnings.iter().for_each(|text| warn(text));
                if let Some(fault) = &solved.fault {
                    good = false;
                    // Without standard error there is nobody to tell.
                    let _ = writeln!(io::stderr(), "{place}: {fault}");
                }
                writeln!(out, "{}", solved.answer)?;
            }
        }
    }

    /// Answers these lines on all cores, in their order.
    fn solve_all(&self, lines: &[Line]) -> Vec<Solved> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut solved = Vec::new();
            while let Some((at, line)) = lines.get(next.fetch_add(1, Ordering::Relaxed)).map(|l| (l.number, l)) {
                solved.push((at, self.solve(line)));
            }
            solved
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(lines.len());
        let mut all: Vec<(usize, Solved)> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let done = running.into_iter().map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
            done.flatten().collect()
        });
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, solved)| solved).collect()
    }

    fn solve(&self, line: &Line) -> Solved {
        let mut warnings = Vec::new();
        let answer = match &line.text {
            Ok(text) => self.answer(line.number, text, &mut warnings),
            Err(error) => Err(error.clone()),
        };
        match answer {
            Ok(answer) => Solved { answer, fault: None, warnings },
            Err(fault) => Solved { answer: json!({"error": fault}), fault: Some(fault), warnings },
        }
    }

    /// The answer to a line, or what is wrong with the line.
    fn answer(&self, number: usize, text: &Bytes, warnings: &mut Vec<String>) -> Result<Value, String> {
        let scenario: Scenario<'_> = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
        let setup = self.setup(scenario.config);
        let (config, profiles) = match &*setup {
            Setup::Refused(text) => return Ok(json!({"configError": text})),
            Setup::Good(config, profiles) => (config, profiles),
        };
        let object = |raw: &RawValue| {
            let text = text.slice_ref(raw.get().as_bytes());
            manifest::of_text(&self.file, number, text).map_err(|errors| without_place(&errors, &self.file, number))
        };
        let mut manifests = Vec::with_capacity(scenario.objects.len());
        for raw in &scenario.objects {
            manifests.extend(object(raw)?);
        }
        let own = object(scenario.pod)?;
        let [own] = own.as_slice() else { return Err("\"pod\" is not one Pod".to_owned()) };
        if !own.is("v1", "Pod") {
            return Err(format!("\"pod\" is no Pod but {own}"));
        }
        let place = |error: manifest::ManifestErrors| without_place(&error, &self.file, number);
        let mut pod: api::Pod = own.decode().map_err(|e| place(manifest::ManifestErrors(vec![e])))?;
        load::complete(&mut pod);
        let profile = profiles.iter().find(|p| p.name == pod.spec.scheduler_name).or_else(|| profiles.first());
        let profile = profile.ok_or("the configuration has no profile")?;
        let all: Vec<_> = manifests.iter().collect();
        warnings.extend(references::missing(own, &pod.metadata.namespace, &all));
        let (world, said) = load::world(&all, profile).map_err(place)?;
        warnings.extend(said);
        let pod = Decoder::new(profile).pod(own).map_err(|e| place(manifest::ManifestErrors(vec![e])))?;
        let answer = decide(&self.registry.admission(config), profile, world.view(), &pod);
        if let Answer::Failed(text) = &answer {
            let name = scenario.name.as_deref().unwrap_or("scenario");
            warnings.push(format!("{}:{number}: {name}: {text}", self.file));
        }
        Ok(answer::golden(&answer))
    }

    /// What a configuration comes to, made once for each text.
    fn setup(&self, config: Option<&RawValue>) -> Arc<Setup> {
        let text = config.map_or("null", RawValue::get);
        let known = |configs: &HashMap<String, Arc<Setup>>| configs.get(text).cloned();
        if let Some(setup) = known(&self.configs.lock().unwrap_or_else(PoisonError::into_inner)) {
            return setup;
        }
        let made = Arc::new(setup(text, self.registry));
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if configs.len() >= MOST_CONFIGS {
            configs.clear();
        }
        configs.insert(text.to_owned(), Arc::clone(&made));
        made
    }
}

fn setup(text: &str, registry: &Registry) -> Setup {
    const DEFAULT: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
    let mut defaults = Defaults::kube_scheduler();
    registry.add_to(&mut defaults.catalog);
    // A configuration may also come as the text of a file.
    let file: Result<String, _> = serde_json::from_str(text);
    let text = match (&file, text) {
        (Ok(file), _) => file.as_str(),
        (_, "null") => DEFAULT,
        (_, object) => object,
    };
    let config = match Config::parse("config", text, &defaults) {
        Ok(config) => config,
        Err(error) => return Setup::Refused(error.to_string()),
    };
    match registry.profiles(&config) {
        Ok(mut profiles) => {
            // Of every node it is told what it says.
            profiles.iter_mut().for_each(|profile| profile.percentage_of_nodes_to_score = 100);
            Setup::Good(Box::new(config), profiles)
        }
        Err(error) => Setup::Refused(format!("{error:#}")),
    }
}

fn unreadable(error: &serde_json::Error) -> String {
    // The line in the text is always the first.
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    format!("no scenario: {reason} (column {})", error.column())
}

/// The errors without the place, which is the line's.
fn without_place(errors: &manifest::ManifestErrors, file: &str, number: usize) -> String {
    errors.to_string().replace(&format!("{file}:{number}: "), "")
}
