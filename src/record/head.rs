//! What a recording is of: `head.json`.

use std::time::Duration;

use jiff::Timestamp;
use plimsoll_framework::intern::Istr;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::FORMAT;
use crate::config::Config;

/// What a recording is of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// The version of the form.
    pub format: u32,
    /// The version of the program that recorded.
    pub version: String,
    /// When it began.
    pub begun: Timestamp,
    /// Where chances come from; drawn by chance itself, where the configuration names none.
    pub seed: u64,
    /// After how long without an event that might help a pod is tried again all the same.
    pub max_in_unschedulable: Duration,
    /// The annotations that plugins read; no others are recorded.
    pub annotation_keys: Vec<String>,
    /// The `KubeSchedulerConfiguration`, flags included, without secrets.
    pub componentconfig: Value,
    /// The `PlimsollConfiguration`.
    pub plimsoll: Value,
}

impl Head {
    /// Of a run of this configuration that begins now.
    pub(crate) fn new(
        config: &Config,
        begun: Timestamp,
        seed: u64,
        max_in_unschedulable: Duration,
        annotation_keys: &[Istr],
    ) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            begun,
            seed,
            max_in_unschedulable,
            annotation_keys: annotation_keys.iter().map(ToString::to_string).collect(),
            componentconfig: json!(config.to_v1()),
            plimsoll: json!(config.to_plimsoll()),
        }
    }
}

#[cfg(feature = "tools")]
mod read {
    use anyhow::Context as _;

    use super::*;
    use crate::config::Defaults;
    use crate::registry::Registry;

    /// Extenders are not asked again, so where they are does not matter, and what their secrets were is not known.
    const NOWHERE: &str = "http://extender.invalid";

    impl Head {
        /// The annotations that plugins read.
        pub(in crate::record) fn annotation_keys(&self) -> Vec<Istr> {
            self.annotation_keys.iter().map(|key| Istr::new(key)).collect()
        }

        /// The configuration, with the seed that was used.
        pub(in crate::record) fn config(&self, registry: &Registry) -> anyhow::Result<Config> {
            let mut defaults = Defaults::plimsoll();
            registry.add_to(&mut defaults.catalog);
            let mut componentconfig = self.componentconfig.clone();
            for extender in componentconfig.get_mut("extenders").and_then(Value::as_array_mut).into_iter().flatten() {
                extender["urlPrefix"] = NOWHERE.into();
                extender["enableHTTPS"] = false.into();
                extender["tlsConfig"] = json!({"insecure": true});
            }
            let text = format!("{componentconfig}\n---\n{}\n", self.plimsoll);
            let mut config = Config::parse("the recorded configuration", &text, &defaults)?;
            let unsupported = config.unsupported(&|name| registry.contains(name));
            if let Some(problem) = unsupported.first() {
                anyhow::bail!("the recorded configuration cannot be run: {problem}");
            }
            config.plimsoll.seed = Some(self.seed);
            Ok(config)
        }

        /// Reads `head.json`.
        pub(in crate::record) fn parse(text: &[u8]) -> anyhow::Result<Self> {
            // A form that is not known may have other fields.
            #[derive(Deserialize)]
            struct Any {
                format: u32,
            }
            let Any { format } = serde_json::from_slice(text).context("no head of a recording")?;
            anyhow::ensure!(format == FORMAT, "its form is {format}; this version reads {FORMAT}");
            serde_json::from_slice(text).context("no head of a recording")
        }
    }
}
