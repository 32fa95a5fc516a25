//! How much memory this process may use: the machine's, or the limit of its control groups where that is lower.
//! Knows nothing of its use.

use std::fs;
use std::path::{Path, PathBuf};

/// Memory in bytes that the machine and the control groups of this process allow it. Blocks briefly.
pub fn available_bytes() -> u64 {
    let machine = machine_bytes();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    group_limit_bytes(&groups, Path::new("/sys/fs/cgroup")).map_or(machine, |limit| limit.min(machine))
}

/// Asks the kernel itself, since a service may not see `/proc/meminfo`.
fn machine_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let units = u64::from(info.mem_unit);
    // The width of the field depends on the machine.
    #[expect(clippy::useless_conversion, reason = "the field has 32 bits on some machines")]
    let total = u64::from(info.totalram);
    total.saturating_mul(units)
}

/// The lowest limit of the groups that `/proc/self/cgroup` names, and of their parents; `None` where there is none.
fn group_limit_bytes(groups: &str, root: &Path) -> Option<u64> {
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            match (fields.next()?, fields.next()?) {
                ("", path) => Some((root.to_owned(), path, "memory.max")),
                (controllers, path) if controllers.split(',').any(|name| name == "memory") => {
                    Some((root.join("memory"), path, "memory.limit_in_bytes"))
                }
                _ => None,
            }
        })
        .flat_map(|(mount, path, file)| limits_upwards(&mount, path, file))
        .min()
}

/// The limits of a group and of its parents, up to the mount point.
fn limits_upwards(mount: &Path, path: &str, file: &str) -> Vec<u64> {
    let group: PathBuf = mount.join(path.trim_start_matches('/'));
    group
        .ancestors()
        .take_while(|directory| directory.starts_with(mount))
        // "max" is no number, and no limit.
        .filter_map(|directory| fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_lowest_limit_of_a_group_and_its_parents_counts() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "system.slice/tallyd.service/memory.max", "max\n");
        write(root.path(), "system.slice/memory.max", "2147483648\n");
        write(root.path(), "memory.max", "8589934592\n");
        let limit = group_limit_bytes("0::/system.slice/tallyd.service\n", root.path());
        assert_eq!(limit, Some(2_147_483_648));
    }

    #[test]
    fn the_first_version_of_control_groups_is_read_too() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "memory/box/memory.limit_in_bytes", "1048576\n");
        assert_eq!(group_limit_bytes("9:name=systemd:/\n4:cpu,memory:/box\n", root.path()), Some(1_048_576));
    }

    #[test]
    fn no_limit_is_found_where_no_group_has_one() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "memory.max", "max\n");
        assert_eq!(group_limit_bytes("0::/\n", root.path()), None);
        assert_eq!(group_limit_bytes("nonsense", root.path()), None);
    }

    #[test]
    fn this_machine_has_some_memory() {
        assert!(available_bytes() > 64 * 1024 * 1024);
    }
}
