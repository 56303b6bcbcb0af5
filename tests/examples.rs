//! Every agent's file of examples/ is a configuration without an error or a warning, and every manifest that names one of
//! our kinds is one of that kind.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use wovenet_crds::{ExposedApp, RemoteApp, Site};

#[test]
fn every_file_of_examples_loads_without_a_word() {
    let (_, agents) = files();
    assert!(agents.len() >= 10, "{agents:?}");
    for (file, content) in agents {
        let loaded = wovenet_config::load(&file.display().to_string(), content.as_bytes(), &Default::default());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}: {problems:?}", file.display()));
        assert!(loaded.warnings.is_empty(), "{}: {:?}", file.display(), loaded.warnings);
    }
}

#[test]
fn every_manifest_of_examples_is_of_the_kind_that_it_names() {
    let (manifests, _) = files();
    assert!(manifests.len() >= 10, "{manifests:?}");
    for (file, content) in manifests {
        for document in serde_yaml::Deserializer::from_str(&content) {
            let object = Value::deserialize(document).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let read = match object["kind"].as_str() {
                Some("Site") => serde_json::from_value::<Site>(object).map(drop),
                Some("ExposedApp") => serde_json::from_value::<ExposedApp>(object).map(drop),
                Some("RemoteApp") => serde_json::from_value::<RemoteApp>(object).map(drop),
                _ => Ok(()),
            };
            read.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}

/// A file and its content.
type File = (PathBuf, String);

/// The files of examples/: manifests, and configurations of agents.
fn files() -> (Vec<File>, Vec<File>) {
    let paths = below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"));
    let read = |path: PathBuf| {
        let content = std::fs::read_to_string(&path).expect("a readable file");
        (path, content)
    };
    let is_manifest = |(_, content): &File| content.lines().any(|line| line.starts_with("apiVersion:"));
    paths.into_iter().map(read).partition(is_manifest)
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("examples/").map(|entry| entry.expect("an entry").path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    here.chain(directories.iter().flat_map(|directory| below(directory))).collect()
}
