//! What a cluster would make of plain manifests, worked out at once: no server, no clock, nothing that runs.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    cluster::Cluster,
    controllers::Workloads,
    failure::Failure,
    json,
    kinds::{Kind, Role},
    ops::Target,
    options::Options,
    store::PageRequest,
};

/// Objects as a user would create them, and the pods that controllers make of them. Admission and controllers are those
/// of [`crate::Server`].
#[derive(Debug)]
pub struct Offline {
    cluster: Cluster,
}

impl Offline {
    /// An empty cluster. Names and UIDs that are made up are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Nobody fires CronJobs here: each is run once.
        let (fired, _) = mpsc::channel(1);
        let options = Options { seed, start_time: Some(std::time::SystemTime::UNIX_EPOCH), ..Options::default() };
        Self { cluster: Cluster::new(options, fired) }
    }

    /// Whether there is such a kind. What is not known cannot be created.
    #[must_use]
    pub fn knows(&self, api_version: &str, kind: &str) -> bool {
        self.cluster.kinds.of_object(api_version, kind).is_some()
    }

    /// Creates an object. Its namespace is created with it, if need be.
    ///
    /// # Errors
    ///
    /// As the API: unknown kind, name taken, refused by admission.
    pub fn create(&self, mut object: Value) -> Result<(), Failure> {
        let text = |field| json::text(&object, &[field]);
        let kind = self.cluster.kinds.of_object(text("apiVersion"), text("kind")).ok_or_else(Failure::no_such_path)?;
        self.make_namespace(kind, &object);
        if kind.role == Role::StatefulSet {
            // One after the other, each when the one before runs: but nothing runs here.
            json::set(&mut object, &["spec", "podManagementPolicy"], "Parallel");
        }
        let stored = self.cluster.create(kind, "", object, false)?;
        if kind.role == Role::CronJob {
            crate::controllers::run_once(&self.cluster, &stored);
        }
        Ok(())
    }

    fn make_namespace(&self, kind: &Kind, object: &Value) {
        let namespace = json::text(object, &["metadata", "namespace"]);
        let namespaces = self.cluster.kinds.role(Role::Namespace);
        if !kind.namespaced || namespace.is_empty() || self.cluster.get(Target::new(namespaces, "", namespace)).is_ok()
        {
            return;
        }
        // A name that is none is refused together with the object.
        let _ = self.cluster.create(namespaces, "", json!({"metadata": {"name": namespace}}), false);
    }

    /// Lets the controllers work until they have nothing more to do.
    pub fn settle(self) -> Settled {
        let (_, nobody_fires) = mpsc::channel(1);
        let cluster = std::sync::Arc::new(self.cluster);
        Workloads::new(cluster.clone(), nobody_fires).settle();
        Settled { cluster }
    }
}

/// A cluster in which all is made that is to be made.
#[derive(Debug)]
pub struct Settled {
    cluster: std::sync::Arc<Cluster>,
}

impl Settled {
    /// All objects of a kind, in the order in which they were made, decoded into what the caller reads of them.
    ///
    /// # Errors
    ///
    /// When there is no such kind, or an object does not decode.
    pub fn list_as<T: DeserializeOwned>(&self, resource: &str) -> Result<Vec<T>, Failure> {
        let kind = self.cluster.kinds.named(resource).ok_or_else(Failure::no_such_path)?;
        let mut page = self.cluster.list(kind, &PageRequest::default())?.objects;
        page.sort_by_key(|object| object.version);
        page.iter().map(|object| object.decode(kind)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Offline;

    fn workload(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
    }

    fn template(restart: &str) -> Value {
        let containers = json!([{"name": "c", "resources": {"limits": {"cpu": "1"}}}]);
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": restart, "containers": containers}})
    }

    fn names(objects: Vec<Value>) -> Vec<String> {
        let offline = Offline::new(1);
        objects.into_iter().for_each(|object| offline.create(object).unwrap());
        let pods: Vec<Value> = offline.settle().list_as("pods").unwrap();
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn workloads_make_their_pods() {
        let selector = json!({"matchLabels": {"a": "b"}});
        let job = json!({"parallelism": 2, "completions": 5, "template": template("Never")});
        let made = names(vec![
            workload(
                "apps/v1",
                "Deployment",
                "web",
                json!({"replicas": 3, "selector": selector, "template": template("Always")}),
            ),
            workload(
                "apps/v1",
                "StatefulSet",
                "db",
                json!({"replicas": 2, "selector": selector, "template": template("Always")}),
            ),
            workload("batch/v1", "Job", "sum", job.clone()),
            workload("batch/v1", "CronJob", "tick", json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": job}})),
        ]);
        let count = |prefix: &str| made.iter().filter(|name| name.starts_with(prefix)).count();
        assert_eq!(
            (count("web-"), count("db-"), count("sum-"), count("tick-"), made.len()),
            (3, 2, 2, 2, 9),
            "{made:?}"
        );
        assert!(made.contains(&"db-1".to_owned()), "{made:?}");
    }

    #[test]
    fn more_pods_than_a_controller_makes_at_once() {
        let spec = json!({"replicas": 1_234, "selector": {"matchLabels": {"a": "b"}}, "template": template("Always")});
        assert_eq!(names(vec![workload("apps/v1", "Deployment", "web", spec)]).len(), 1_234);
    }

    #[test]
    fn the_seed_gives_the_names() {
        let spec = json!({"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template("Always")});
        let web = || vec![workload("apps/v1", "Deployment", "web", spec.clone())];
        assert_eq!(names(web()), names(web()));
    }

    #[test]
    fn pods_are_admitted_as_by_the_server() {
        let offline = Offline::new(1);
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 7});
        offline.create(class).unwrap();
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "new"}});
        pod["spec"] = template("Always")["spec"].take();
        pod["spec"]["priorityClassName"] = "high".into();
        offline.create(pod.clone()).unwrap();
        assert_eq!(offline.create(pod).unwrap_err().reason, "AlreadyExists");
        let pods: Vec<Value> = offline.settle().list_as("pods").unwrap();
        assert_eq!(pods[0]["spec"]["priority"], 7);
        assert_eq!(pods[0]["spec"]["containers"][0]["resources"]["requests"]["cpu"], "1");
    }
}
