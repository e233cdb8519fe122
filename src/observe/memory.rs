//! How much memory this process may take: the least of what the function, each control group above it and the machine have.

use std::fs::read_to_string;
use std::path::{Component, Path};

/// In bytes, with the function's own number of megabytes where there is one. `root` is `/`.
pub(crate) fn available(function_mb: Option<u64>, root: &Path) -> Option<u64> {
    let groups = read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limits_of_group(line, root));
    let function = function_mb.and_then(|megabytes| megabytes.checked_mul(1 << 20));
    limits.chain(function).chain(machine(root)).min()
}

/// The limits of one line of `/proc/self/cgroup` (`ID:CONTROLLERS:PATH`; of version 2 without controllers) and of all groups
/// above that one. In a container the files of its own group may lie at the top, whatever the line says.
fn limits_of_group(line: &str, root: &Path) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (mounts, file): (&[&str], _) = match controllers {
        "" => (&["sys/fs/cgroup", "sys/fs/cgroup/unified"], "memory.max"),
        names if names.split(',').any(|name| name == "memory") => (&["sys/fs/cgroup/memory"], "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    // A group outside of the namespace is told by `..`, and has no files here.
    let inside = |part: &Component| matches!(part, Component::Normal(_) | Component::RootDir);
    let path = Path::new(path);
    let path = path.components().all(|part| inside(&part)).then_some(path);
    let groups = path.into_iter().flat_map(Path::ancestors).chain([Path::new("/")]);
    let groups: Vec<_> = groups.filter_map(|group| group.strip_prefix("/").ok()).collect();
    let files = mounts
        .iter()
        .flat_map(|mount| groups.iter().map(move |group| root.join(mount).join(group).join(file)));
    files.filter_map(|file| limit(&file)).collect()
}

/// `None` of `max`, and of the number near the largest that version 1 has for it.
fn limit(file: &Path) -> Option<u64> {
    let bytes: u64 = read_to_string(file).ok()?.trim().parse().ok()?;
    (bytes < 1 << 50).then_some(bytes)
}

fn machine(root: &Path) -> Option<u64> {
    let text = read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn machine_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn available_with(files: &[(&str, &str)]) -> Option<u64> {
        available(None, machine_with(files).path())
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemFree:  1 kB\nMemTotal:       33554432 kB\n");

    /// A task whose own group has no limit was "unlimited".
    #[test]
    fn a_group_above_and_the_machine_count() {
        assert_eq!(available_with(&[]), None);
        assert_eq!(available_with(&[MACHINE]), Some(32 * GIB));
        let v2 = ("proc/self/cgroup", "0::/ecs/task/container\n");
        let own = ("sys/fs/cgroup/ecs/task/container/memory.max", "max\n");
        let task = ("sys/fs/cgroup/ecs/task/memory.max", "2147483648\n");
        assert_eq!(available_with(&[MACHINE, v2, own]), Some(32 * GIB));
        assert_eq!(available_with(&[MACHINE, v2, own, task]), Some(2 * GIB));
        let v1 = ("proc/self/cgroup", "3:cpu,cpuacct:/a\n2:memory:/a/b\n1:name=systemd:/\n");
        let none = ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
        let above = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824\n");
        assert_eq!(available_with(&[MACHINE, v1, none]), Some(32 * GIB));
        assert_eq!(available_with(&[MACHINE, v1, none, above]), Some(GIB));
        assert_eq!(available_with(&[v1, none]), None);
    }

    #[test]
    fn in_a_container_the_groups_files_may_lie_at_the_top() {
        let top = ("sys/fs/cgroup/memory.max", "536870912");
        for line in ["0::/", "0::/../../elsewhere", "0::/docker/0123456789ab"] {
            assert_eq!(available_with(&[MACHINE, ("proc/self/cgroup", line), top]), Some(GIB / 2), "{line}");
        }
        let hybrid = ("sys/fs/cgroup/unified/x/memory.max", "1073741824");
        assert_eq!(available_with(&[MACHINE, ("proc/self/cgroup", "0::/x"), hybrid]), Some(GIB));
        assert_eq!(
            available_with(&[MACHINE, ("proc/self/cgroup", "nonsense\n:\n"), top]),
            Some(32 * GIB)
        );
    }

    #[test]
    fn a_function_has_what_its_variable_says() {
        let root = machine_with(&[MACHINE]);
        assert_eq!(available(Some(3538), root.path()), Some(3538 << 20));
        assert_eq!(available(Some(u64::MAX), root.path()), Some(32 * GIB));
    }
}
