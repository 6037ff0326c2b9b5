//! Network file systems, which do not announce the changes that other machines make.

use std::path::Path;

/// Returns the kind of network file system that contains a file, or `None` for a local file
/// system.
#[cfg(target_os = "linux")]
pub(super) fn network_file_system(file: &Path) -> Option<&'static str> {
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
    let about = rustix::fs::statfs(file)
        .or_else(|_| rustix::fs::statfs(directory.unwrap_or(Path::new("."))))
        .ok()?;
    // `f_type` has 64 bits on some machines and 32 on others; all the numbers fit into 32.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    network_file_system_by_magic(about.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn network_file_system(_: &Path) -> Option<&'static str> {
    None
}

/// Finds a network file system by its number in `statfs(2)` and the kernel's `magic.h`.
fn network_file_system_by_magic(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9P",
        0x00C3_6400 => "Ceph",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x0BD0_0BD0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x786F_4256 => "VirtualBox's shared folder",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_network_file_systems_from_local_ones() {
        assert_eq!(network_file_system_by_magic(0x6969), Some("NFS"));
        assert_eq!(network_file_system_by_magic(0xEF53), None, "ext4");
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(network_file_system(&dir.path().join("none")), network_file_system(dir.path()));
    }
}
