//! Every file of examples/ is a configuration without an error or a warning.

use std::path::{Path, PathBuf};

#[test]
fn every_file_of_examples_loads_without_a_word() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"));
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let content = std::fs::read(&file).expect("a readable file");
        let loaded = wovenet_config::load(&file.display().to_string(), &content, &Default::default());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}: {problems:?}", file.display()));
        assert!(loaded.warnings.is_empty(), "{}: {:?}", file.display(), loaded.warnings);
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("examples/").map(|entry| entry.expect("an entry").path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    here.chain(directories.iter().flat_map(|directory| self::files(directory))).collect()
}
