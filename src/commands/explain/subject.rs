//! The pod that is asked about, found and decided.

use anyhow::{Context as _, bail};
use plimsoll_engine::profile::Profile;
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodParser;

use super::{Args, warn};
use super::{load, references};
use crate::config::Config;
use crate::explain::{Answer, Subject, decide};
use crate::manifest::{self, Manifest};
use crate::registry::Registry;

/// Finds the pod and decides it.
pub(super) fn find(args: &Args, config: &Config, registry: &Registry) -> anyhow::Result<Subject> {
    let manifests = manifest::read(&args.filename, args.recursive)?;
    let own = match &args.pod_file {
        None => Vec::new(),
        Some(file) => manifest::read(std::slice::from_ref(file), false)?,
    };
    let chosen = match &args.pod_file {
        None => named(args, &manifests)?,
        Some(file) => only_pod(&own).with_context(|| format!("reading {}", file.display()))?,
    };
    let mut object: api::Pod = chosen.decode()?;
    if let Some(namespace) = args.namespace.as_deref().filter(|_| object.metadata.namespace.is_empty()) {
        object.metadata.namespace = Istr::new(namespace);
    }
    load::complete(&mut object);
    let mut profile = profile(args, config, registry, &object.spec.scheduler_name)?;
    if profile.percentage_of_nodes_to_score < 100 {
        let percentage = profile.percentage_of_nodes_to_score;
        warn(&format!(
            "the scheduler looks for {percentage}% of the nodes (percentageOfNodesToScore); here all are looked at"
        ));
        profile.percentage_of_nodes_to_score = 100;
    }
    let now_on = std::mem::take(&mut object.spec.node_name);
    if !now_on.is_empty() {
        object.status.nominated_node_name = Istr::default();
    }
    let pod = PodParser::new(profile.annotation_keys.clone()).parse(&object);
    // A pod from a file of its own takes the place of one that has its name.
    let is_itself = |m: &Manifest| {
        let namespace = if m.namespace.is_empty() { "default" } else { m.namespace.as_str() };
        m.is("v1", "Pod") && *m.name == *pod.key.name && *namespace == *pod.key.namespace
    };
    let others: Vec<&Manifest> = manifests.iter().filter(|m| !is_itself(m)).collect();
    references::missing(chosen, &pod.key.namespace, &others).iter().for_each(|text| warn(text));
    let (world, warnings) = load::world(&others, &profile)?;
    warnings.iter().for_each(|text| warn(text));
    let answer = decide(&registry.admission(config), &profile, world.view(), &pod);
    if let (Answer::Decided(_), Some(reason)) =
        (&answer, registry.admission(config)(&pod, &profile, world.view().cluster()))
    {
        warn(&format!("the scheduler would let {} wait: it {reason}", pod.key));
    }
    let now_on = Some(now_on).filter(|node| !node.is_empty());
    Ok(Subject { pod, now_on, profiles: [profile].into(), profile: 0, world, answer, victims_elsewhere: 0 })
}

/// The pod of this name among those of the cluster.
fn named<'m>(args: &Args, manifests: &'m [Manifest]) -> anyhow::Result<&'m Manifest> {
    let given = args.pod.as_deref().unwrap_or_default();
    let name = match given.split_once('/') {
        Some(("pod" | "pods" | "po", name)) => name,
        Some((kind, _)) => bail!("{given}: a pod can be explained, no {kind}"),
        None => given,
    };
    let namespace = args.namespace.as_deref().unwrap_or("default");
    let mut elsewhere = Vec::new();
    for manifest in manifests.iter().filter(|m| m.is("v1", "Pod") && m.name.as_str() == name) {
        let at = if manifest.namespace.is_empty() { "default" } else { manifest.namespace.as_str() };
        if at == namespace {
            return Ok(manifest);
        }
        elsewhere.push(at);
    }
    match elsewhere.as_slice() {
        [] => bail!("there is no pod {namespace}/{name} in the files"),
        other => bail!("there is no pod {namespace}/{name} in the files; there is one in -n {}", other.join(", -n ")),
    }
}

/// The pod of a file that has one.
fn only_pod(manifests: &[Manifest]) -> anyhow::Result<&Manifest> {
    match manifests {
        [pod] if pod.is("v1", "Pod") => Ok(pod),
        [other] => Err(other.error("is no Pod").into()),
        several => bail!("one Pod is expected, not {} objects", several.len()),
    }
}

/// The profile that decides.
fn profile(args: &Args, config: &Config, registry: &Registry, wanted: &Istr) -> anyhow::Result<Profile> {
    let mut profiles = registry.profiles(config)?;
    if let Some(name) = &args.scheduler_name {
        let names: Vec<String> = profiles.iter().map(|p| p.name.to_string()).collect();
        let at = profiles.iter().position(|p| p.name.as_str() == name);
        let Some(at) = at else { bail!("no profile is named {name:?}; there are {}", names.join(", ")) };
        return Ok(profiles.swap_remove(at));
    }
    let at = profiles.iter().position(|p| p.name == *wanted).unwrap_or(0);
    if profiles.is_empty() {
        bail!("the configuration has no profile");
    }
    Ok(profiles.swap_remove(at))
}
