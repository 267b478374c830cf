//! What a pod asks for in all (reference sections 3.1 to 3.3).

use std::collections::BTreeMap;

use super::Faults;
use crate::api;
use crate::intern::Istr;
use crate::quantity::{Quantity, RawQuantity};
use crate::resources::{ResourceList, Resources};

/// What a container without a CPU request is taken to use when nodes are compared.
pub const DEFAULT_MILLI_CPU_REQUEST: i64 = 100;
/// What a container without a memory request is taken to use when nodes are compared.
pub const DEFAULT_MEMORY_REQUEST_BYTES: i64 = 200 * 1024 * 1024;

/// The requests of a pod as the different rules read them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct PodRequests {
    /// By the spec alone: what Filter asks a node for.
    pub filter: Resources,
    /// By the containers of the spec, those without a CPU or memory request at the defaults, without pod-level
    /// requests: what NodeResourcesFit scores the pod with.
    pub score: Resources,
    /// What the pod takes up on its node: the greatest of what its spec asks and what its status says it was given.
    pub used: Resources,
    /// As `used`, with the defaults. Milli-CPU.
    pub used_non_zero_milli_cpu: i64,
    /// As `used`, with the defaults. Bytes.
    pub used_non_zero_memory_bytes: i64,
}

/// Which of the pod's parts are looked at.
#[derive(Clone, Copy)]
struct Options {
    status: bool,
    pod_level: bool,
    default_cpu: bool,
    default_memory: bool,
}

const SPEC: Options = Options { status: false, pod_level: true, default_cpu: false, default_memory: false };

pub(super) fn requests(pod: &api::Pod, faults: &mut Faults) -> PodRequests {
    let read = Read::new(pod, faults);
    let spec = read.total(SPEC);
    let used = if read.has_status() { read.total(Options { status: true, ..SPEC }) } else { spec.clone() };
    // With pod-level requests a default counts only where nothing else names the resource.
    let default = |name: &Istr| read.pod_level.is_empty() || used.get(name).is_none();
    let non_zero = read
        .total(Options { status: true, default_cpu: default(&cpu()), default_memory: default(&memory()), ..SPEC })
        .to_resources();
    let score = read.total(Options { status: false, pod_level: false, default_cpu: true, default_memory: true });
    PodRequests {
        filter: spec.to_resources(),
        score: score.to_resources(),
        used: used.to_resources(),
        used_non_zero_milli_cpu: non_zero.milli_cpu,
        used_non_zero_memory_bytes: non_zero.memory_bytes,
    }
}

fn cpu() -> Istr {
    Istr::new("cpu")
}
fn memory() -> Istr {
    Istr::new("memory")
}

/// Reads a map of quantities, noting those that are none.
pub(crate) fn resource_list(
    map: &BTreeMap<Istr, RawQuantity>,
    path: impl Fn() -> String,
    faults: &mut Faults,
) -> ResourceList {
    let mut list = ResourceList::default();
    for (name, raw) in map {
        match Quantity::parse(&raw.0) {
            Ok(q) => list.set(name, q),
            Err(e) => faults.note(format!("{}[{name}]", path()), e),
        }
    }
    list
}

/// A container's requests by spec and, where its status speaks of resources, by status.
struct Container {
    spec: ResourceList,
    status: Option<ResourceList>,
    restartable: bool,
}

/// The pod's quantities, read once.
struct Read {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    pod_level: ResourceList,
    pod_level_status: Option<ResourceList>,
    overhead: ResourceList,
    /// A resize that no node can grant: what the spec asks is not what the pod will get.
    resize_infeasible: bool,
}

impl Read {
    fn new(pod: &api::Pod, faults: &mut Faults) -> Self {
        let (spec, status) = (&pod.spec, &pod.status);
        let mut containers =
            |list: &[api::Container], statuses: &[api::ContainerStatus], field: &str| -> Vec<Container> {
                list.iter()
                    .enumerate()
                    .map(|(i, c)| Container {
                        spec: resource_list(
                            &c.resources.requests,
                            || format!("spec.{field}[{i}].resources.requests"),
                            faults,
                        ),
                        status: status_of(c, statuses, faults),
                        restartable: &*c.restart_policy == "Always",
                    })
                    .collect()
            };
        let regular = containers(&spec.containers, &status.container_statuses, "containers");
        let init = containers(&spec.init_containers, &status.init_container_statuses, "initContainers");
        let mut pod_level = ResourceList::default();
        if let Some(resources) = &spec.resources {
            let all = resource_list(&resources.requests, || "spec.resources.requests".to_owned(), faults);
            for (name, q) in all.iter().filter(|(name, _)| has_pod_level(name)) {
                pod_level.set(name, q);
            }
        }
        let pod_level_status = status.resources.as_ref().map(|r| {
            let mut list = resource_list(&r.requests, || "status.resources.requests".to_owned(), faults);
            if let Some(allocated) = &status.allocated_resources {
                list.raise(&resource_list(allocated, || "status.allocatedResources".to_owned(), faults));
            }
            list
        });
        let resize = status.conditions.iter().find(|c| &*c.kind == "PodResizePending");
        Self {
            containers: regular,
            init_containers: init,
            pod_level,
            pod_level_status,
            overhead: resource_list(&spec.overhead, || "spec.overhead".to_owned(), faults),
            resize_infeasible: resize.is_some_and(|c| &*c.reason == "Infeasible"),
        }
    }

    fn has_status(&self) -> bool {
        self.pod_level_status.is_some()
            || self.containers.iter().chain(&self.init_containers).any(|c| c.status.is_some())
    }

    fn of(&self, container: &Container, options: Options) -> ResourceList {
        let status = container.status.as_ref().filter(|_| options.status);
        let mut list = match status {
            Some(status) if self.resize_infeasible => status.clone(),
            Some(status) => {
                let mut list = container.spec.clone();
                list.raise(status);
                list
            }
            None => container.spec.clone(),
        };
        for (wanted, name, default) in [
            (options.default_cpu, cpu as fn() -> Istr, Quantity::from_milli(DEFAULT_MILLI_CPU_REQUEST)),
            (options.default_memory, memory, Quantity::from_value(DEFAULT_MEMORY_REQUEST_BYTES)),
        ] {
            if wanted && list.get(&name()).is_none() {
                list.set(&name(), default);
            }
        }
        list
    }

    fn total(&self, options: Options) -> ResourceList {
        let mut sum = ResourceList::default();
        for container in &self.containers {
            sum.add(&self.of(container, options));
        }
        let (mut sidecars, mut greatest) = (ResourceList::default(), ResourceList::default());
        for container in &self.init_containers {
            let own =
                self.of(container, if container.restartable { options } else { Options { status: false, ..options } });
            let mut running = sidecars.clone();
            running.add(&own);
            if container.restartable {
                sum.add(&own);
                sidecars = running.clone();
            }
            greatest.raise(&running);
        }
        sum.raise(&greatest);
        if options.pod_level {
            self.apply_pod_level(&mut sum, options.status);
        }
        sum.add(&self.overhead);
        sum
    }

    fn apply_pod_level(&self, sum: &mut ResourceList, use_status: bool) {
        for (name, asked) in self.pod_level.iter() {
            let amount = match &self.pod_level_status {
                Some(status) if use_status => {
                    let given = status.get(name).unwrap_or_default();
                    if self.resize_infeasible { given } else { given.max(asked) }
                }
                _ => asked,
            };
            sum.set(name, amount);
        }
    }
}

/// Pod-level requests exist for these resources only.
fn has_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn status_of(
    container: &api::Container,
    statuses: &[api::ContainerStatus],
    faults: &mut Faults,
) -> Option<ResourceList> {
    let status = statuses.iter().find(|s| s.name == container.name)?;
    let given = status.resources.as_ref()?;
    let path = |field: &str| format!("status.containerStatuses[{}].{field}", container.name);
    let mut list = resource_list(&given.requests, || path("resources.requests"), faults);
    list.raise(&resource_list(&status.allocated_resources, || path("allocatedResources"), faults));
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &str, status: &str) -> PodRequests {
        let pod: api::Pod = serde_json::from_str(&format!(r#"{{"spec":{spec},"status":{status}}}"#)).unwrap();
        let mut faults = Faults::default();
        let r = requests(&pod, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        r
    }
    fn container(name: &str, requests: &str) -> String {
        format!(r#"{{"name":"{name}","resources":{{"requests":{requests}}}}}"#)
    }

    #[test]
    fn containers_add_up_and_init_containers_run_before() {
        let sidecar = r#"{"name":"s","restartPolicy":"Always","resources":{"requests":{"cpu":"100m"}}}"#;
        let rows: &[(&str, &[&str], i64)] = &[
            (r#"{"cpu":"100m"}"#, &[], 200),
            (r#"{"cpu":"100m"}"#, &[r#"{"name":"i","resources":{"requests":{"cpu":"1"}}}"#], 1_000),
            // The sidecar runs beside the containers, and beside the init container that follows it.
            (r#"{"cpu":"100m"}"#, &[sidecar], 300),
            (r#"{"cpu":"100m"}"#, &[sidecar, r#"{"name":"i","resources":{"requests":{"cpu":"1"}}}"#], 1_100),
            (r#"{"cpu":"100m"}"#, &[r#"{"name":"i","resources":{"requests":{"cpu":"1"}}}"#, sidecar], 1_000),
            (r#"{"cpu":"0.5m"}"#, &[], 1),
        ];
        for (each, init, milli_cpu) in rows {
            let spec = format!(
                r#"{{"containers":[{},{}],"initContainers":[{}]}}"#,
                container("a", each),
                container("b", each),
                init.join(",")
            );
            assert_eq!(of(&spec, "{}").filter.milli_cpu, *milli_cpu, "{spec}");
        }
    }

    #[test]
    fn defaults_count_per_container_for_scores_only() {
        let spec = format!(r#"{{"containers":[{},{}]}}"#, container("a", r#"{"cpu":"0"}"#), container("b", "{}"));
        let r = of(&spec, "{}");
        assert_eq!((r.filter.milli_cpu, r.filter.memory_bytes), (0, 0));
        assert_eq!((r.score.milli_cpu, r.score.memory_bytes), (100, 2 * DEFAULT_MEMORY_REQUEST_BYTES));
        assert_eq!((r.used.milli_cpu, r.used_non_zero_milli_cpu), (0, 100));
    }

    #[test]
    fn pod_level_requests_replace_but_not_in_the_score() {
        let spec = format!(
            r#"{{"containers":[{}],"resources":{{"requests":{{"cpu":"2","ephemeral-storage":"9Gi"}}}},"overhead":{{"cpu":"100m"}}}}"#,
            container("a", r#"{"cpu":"3"}"#)
        );
        let r = of(&spec, "{}");
        assert_eq!((r.filter.milli_cpu, r.filter.ephemeral_storage_bytes), (2_100, 0));
        assert_eq!(r.score.milli_cpu, 3_100);
        assert_eq!(r.used_non_zero_memory_bytes, DEFAULT_MEMORY_REQUEST_BYTES);
    }

    #[test]
    fn a_resize_under_way_takes_the_greater_amount() {
        let spec = format!(r#"{{"containers":[{}]}}"#, container("a", r#"{"cpu":"1"}"#));
        let status = r#"{"containerStatuses":[{"name":"a","resources":{"requests":{"cpu":"2"}},"allocatedResources":{"cpu":"3"}}]"#;
        assert_eq!(of(&spec, &format!("{status}}}")).used.milli_cpu, 3_000);
        assert_eq!(of(&spec, &format!("{status}}}")).filter.milli_cpu, 1_000);
        let spec = format!(r#"{{"containers":[{}]}}"#, container("a", r#"{"cpu":"9"}"#));
        let infeasible = r#","conditions":[{"type":"PodResizePending","reason":"Infeasible"}]}"#;
        assert_eq!(of(&spec, &format!("{status}{infeasible}")).used.milli_cpu, 3_000);
    }
}
