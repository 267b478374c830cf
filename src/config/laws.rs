//! What holds of every configuration.

use serde_json::Value;

use super::{Config, ConfigErrors, Defaults};

/// What is read and written out again means the same; what is refused is said in bounds, with its place.
pub(crate) fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let defaults = Defaults::plimsoll();
    let config = match Config::parse("f.yaml", text, &defaults) {
        Ok(config) => config,
        Err(ConfigErrors::Invalid { errors }) => {
            assert!((1..=101).contains(&errors.len()), "{} errors", errors.len());
            for error in errors {
                assert!(error.to_string().starts_with("f.yaml"), "{error}");
                assert!(!error.message.is_empty());
            }
            return;
        }
        Err(error) => unreachable!("there is nothing to read: {error}"),
    };
    assert!(!config.profiles.is_empty());
    let secret = config.extenders.iter().any(|e| e.tls_config.is_some() || e.url_prefix.contains('@'));
    if secret {
        return;
    }
    let written = config.to_yaml();
    assert!(written.is_ok(), "{written:?}");
    let written = written.unwrap_or_default();
    match Config::parse("f.yaml", &written, &defaults) {
        Ok(again) => assert_eq!(meaning(&again), meaning(&config), "{written}"),
        Err(error) => unreachable!("{written}\n{error}"),
    }
}

/// All but the warnings, which name places, and what a file asks for by name: one that writes out everything asks for
/// nothing by that.
fn meaning(config: &Config) -> Value {
    let mut resolved = config.to_resolved();
    resolved["warnings"].take();
    let profiles = resolved["profiles"].as_array_mut().into_iter().flatten();
    let points =
        profiles.filter_map(|profile| profile["plugins"].as_object_mut()).flat_map(|points| points.values_mut());
    for plugin in points.filter_map(Value::as_array_mut).flatten() {
        plugin["explicit"].take();
    }
    resolved
}
