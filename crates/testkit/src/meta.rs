//! The metadata setters that all builders share.

/// Gives a builder with a field `value: Value` the setters of `metadata`, `build` and the conversion to `Value`.
macro_rules! metadata_setters {
    ($builder:ident) => {
        impl $builder {
            /// Sets `metadata.uid`.
            pub fn uid(mut self, uid: &str) -> Self {
                self.value["metadata"]["uid"] = uid.into();
                self
            }

            /// Sets `metadata.resourceVersion`.
            pub fn resource_version(mut self, version: u64) -> Self {
                self.value["metadata"]["resourceVersion"] = version.to_string().into();
                self
            }

            /// Sets one label.
            pub fn label(mut self, key: &str, value: &str) -> Self {
                self.value["metadata"]["labels"][key] = value.into();
                self
            }

            /// Sets one annotation.
            pub fn annotation(mut self, key: &str, value: &str) -> Self {
                self.value["metadata"]["annotations"][key] = value.into();
                self
            }

            /// Sets `metadata.creationTimestamp` (RFC 3339).
            pub fn created(mut self, timestamp: &str) -> Self {
                self.value["metadata"]["creationTimestamp"] = timestamp.into();
                self
            }

            /// Sets whatever has no setter: the value at a JSON pointer such as `/spec/hostNetwork`; objects on the
            /// way are made.
            pub fn set(mut self, pointer: &str, value: impl Into<serde_json::Value>) -> Self {
                let mut slot = &mut self.value;
                for key in pointer.split('/').skip(1) {
                    slot = &mut slot[key.replace("~1", "/").replace("~0", "~")];
                }
                *slot = value.into();
                self
            }

            /// The object.
            #[must_use]
            pub fn build(self) -> serde_json::Value {
                self.value
            }
        }

        impl From<$builder> for serde_json::Value {
            fn from(builder: $builder) -> Self {
                builder.value
            }
        }
    };
}
pub(crate) use metadata_setters;
