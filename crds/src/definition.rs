//! The definitions of the kinds, and the YAML that is checked in.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{ExposedApp, RemoteApp, Site};

/// Why a definition could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Not a value of JSON.
    #[error("cannot turn the definition into JSON")]
    Json(#[source] serde_json::Error),
    /// Not writable as YAML.
    #[error("cannot write the definition as YAML")]
    Yaml(#[source] serde_yaml::Error),
}

/// The file name and the content of one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionFile {
    /// `<plural>.<group>.yaml`.
    pub name: String,
    /// YAML.
    pub content: String,
}

/// Returns the files of all definitions.
///
/// # Errors
/// [`DefinitionError`] when one cannot be written, which would be a mistake in its type.
pub fn files() -> Result<Vec<DefinitionFile>, DefinitionError> {
    [Site::crd(), ExposedApp::crd(), RemoteApp::crd()].iter().map(file).collect()
}

fn file(definition: &CustomResourceDefinition) -> Result<DefinitionFile, DefinitionError> {
    let value = value(definition)?;
    let yaml = serde_yaml::to_string(&value).map_err(DefinitionError::Yaml)?;
    Ok(DefinitionFile {
        name: format!("{}.{}.yaml", definition.spec.names.plural, definition.spec.group),
        content: format!("# Generated from the types in crds/src by `make crds`. Do not edit.\n{yaml}"),
    })
}

/// Turns a definition into what the API server is given.
///
/// # Errors
/// [`DefinitionError::Json`] when it is no value of JSON, which would be a mistake in its type.
pub fn value(definition: &CustomResourceDefinition) -> Result<Value, DefinitionError> {
    let mut value = serde_json::to_value(definition).map_err(DefinitionError::Json)?;
    tidy(&mut value);
    Ok(value)
}

/// Removes what the API server would warn of or ignore: formats that it does not know, titles, and `nullable`, without
/// which null is the same as absent. Descriptions become one line, whole numbers are written as such.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| match name.as_str() {
                "format" => !value.as_str().is_some_and(|format| format.starts_with("uint")),
                "nullable" => !value.is_boolean(),
                "title" => !value.is_string(),
                _ => true,
            });
            if let Some(Value::String(description)) = fields.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && !number.is_i64()) {
                *number = (float as i64).into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
