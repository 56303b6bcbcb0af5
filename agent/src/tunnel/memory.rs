//! How much memory this process may use: the least of its control groups (versions 1 and 2) and the machine.

use std::path::{Path, PathBuf};

/// Where Linux shows the control groups.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Returns the limit in bytes; `None` when the system does not tell.
pub(super) fn limit() -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total(&text));
    limit_files(&groups).iter().filter_map(|file| number(&read(file)?)).chain(machine).min()
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Names the files that may limit a process whose /proc/self/cgroup is `groups`, its parents' included.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    groups.lines().filter_map(group).flat_map(|(root, file, path)| ancestors(&root, file, path)).collect()
}

/// Reads `number:controllers:path`, as in cgroups(7).
fn group(line: &str) -> Option<(PathBuf, &'static str, &str)> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let root = Path::new(CONTROL_GROUPS);
    match controllers {
        "" => Some((root.to_owned(), "memory.max", path)),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            Some((root.join("memory"), "memory.limit_in_bytes", path))
        }
        _ => None,
    }
}

/// The root counts too: inside a container it is the container's own group.
fn ancestors(root: &Path, file: &str, path: &str) -> Vec<PathBuf> {
    let own = Path::new(path.trim_start_matches('/'));
    own.ancestors().map(|ancestor| root.join(ancestor).join(file)).collect()
}

/// `max` is no number and no limit; version 1 writes a number beyond any memory.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(number(line.trim().strip_suffix("kB")?)? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(groups: &str) -> Vec<String> {
        limit_files(groups).iter().map(|file| file.display().to_string()).collect()
    }

    #[test]
    fn the_own_group_and_its_parents_may_limit() {
        let expected = ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"];
        assert_eq!(files("0::/a/b\n"), expected);
        let expected = ["/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        assert_eq!(files("8:pids:/x\n4:hugetlb,memory:/a\n"), expected);
        assert_eq!(files("broken\n"), [""; 0]);
    }

    #[test]
    fn what_is_no_number_is_no_limit() {
        assert_eq!((number("max\n"), number("1048576\n")), (None, Some(1_048_576)));
        assert_eq!(total("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2_097_152));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn this_machine_tells_its_memory() {
        assert!(limit().is_some_and(|bytes| bytes > 16 * 1024 * 1024));
    }
}
