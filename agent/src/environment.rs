//! The environment, as far as it is text.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Returns the variables of this process that are text. A configuration cannot name others.
pub fn variables() -> BTreeMap<String, String> {
    texts(std::env::vars_os())
}

fn texts(variables: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_variable_that_is_no_text_is_left_out_and_hides_no_other() {
        let broken = || OsString::from_vec(vec![0xff]);
        let variables = [("SITENAME".into(), "home".into()), ("BROKEN".into(), broken()), (broken(), "value".into())];
        assert_eq!(texts(variables.into_iter()), BTreeMap::from([("SITENAME".to_owned(), "home".to_owned())]));
    }
}
