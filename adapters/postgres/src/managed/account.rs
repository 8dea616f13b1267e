//! Whom the server runs as: ourselves, or a lesser account when we are root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::error::{ManagedError, io};

/// The account the server's processes run under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// The gateway's own.
    Own,
    /// Another one, to which root steps down.
    Lesser { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// Chooses the account: our own, or, as root, the owner of existing data,
    /// else `postgres`, else `nobody`.
    pub(super) fn choose(data: &Path) -> Result<Self, ManagedError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if let Ok(owner) = fs::metadata(data)
            && owner.uid() != 0
        {
            return Ok(Self::Lesser {
                name: name_of(&passwd, owner.uid()),
                uid: owner.uid(),
                gid: owner.gid(),
            });
        }
        ["postgres", "_postgres", "nobody"]
            .iter()
            .find_map(|name| look_up(&passwd, name))
            .ok_or(ManagedError::NoAccount)
    }

    /// The user id the server's files belong to.
    pub(super) fn uid(&self) -> u32 {
        match self {
            Self::Own => rustix::process::geteuid().as_raw(),
            Self::Lesser { uid, .. } => *uid,
        }
    }

    /// A command that runs under the account with nothing of our environment,
    /// in a process group of its own, so that Ctrl-C reaches the gateway only.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TZ", "UTC")
            .current_dir("/")
            .process_group(0);
        if let Self::Lesser { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Makes a directory, if it is missing, that only the account can open.
    pub(super) fn private_dir(&self, path: &Path) -> Result<(), ManagedError> {
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io("create", path)(error)),
        }
        // A link would let somebody else choose what is handed over.
        let found = fs::symlink_metadata(path).map_err(io("read", path))?;
        let ours = found.uid() == self.uid() || found.uid() == Self::Own.uid();
        if !found.is_dir() || !ours {
            return Err(ManagedError::SocketDirectory { path: path.to_path_buf() });
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(io("set the permissions of", path))?;
        if let Self::Lesser { uid, gid, .. } = self {
            chown(path, Some(*uid), Some(*gid)).map_err(io("change the owner of", path))?;
        }
        Ok(())
    }

    /// Refuses a directory the account could not get to.
    pub(super) fn must_reach(&self, dir: &Path) -> Result<(), ManagedError> {
        let Self::Lesser { name, uid, gid } = self else {
            return Ok(());
        };
        for step in dir.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let found = fs::metadata(step).map_err(io("read", step))?;
            if !may_pass(found.mode(), found.uid(), found.gid(), *uid, *gid) {
                return Err(ManagedError::NotTraversable { path: step.to_path_buf(), user: name.clone() });
            }
        }
        Ok(())
    }
}

/// Whether `uid`/`gid` may pass through a directory with this mode and owner.
fn may_pass(mode: u32, owner: u32, group: u32, uid: u32, gid: u32) -> bool {
    let bit = if owner == uid {
        0o100
    } else if group == gid {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

fn fields(line: &str) -> Option<(&str, u32, u32)> {
    let mut parts = line.split(':');
    let name = parts.next()?;
    let uid = parts.nth(1)?.parse().ok()?;
    let gid = parts.next()?.parse().ok()?;
    Some((name, uid, gid))
}

fn look_up(passwd: &str, wanted: &str) -> Option<Account> {
    passwd
        .lines()
        .filter_map(fields)
        .find(|(name, uid, _)| *name == wanted && *uid != 0)
        .map(|(name, uid, gid)| Account::Lesser { name: name.to_owned(), uid, gid })
}

fn name_of(passwd: &str, wanted: u32) -> String {
    passwd
        .lines()
        .filter_map(fields)
        .find(|(_, uid, _)| *uid == wanted)
        .map_or_else(|| wanted.to_string(), |(name, _, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        broken line\n\
        nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n\
        postgres:x:101:104::/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn accounts_are_read_from_passwd() {
        let postgres = look_up(PASSWD, "postgres");
        assert!(matches!(postgres, Some(Account::Lesser { uid: 101, gid: 104, .. })));
        assert!(look_up(PASSWD, "nobody").is_some());
        assert_eq!(look_up(PASSWD, "absent"), None);
        assert_eq!(look_up("postgres:x:0:0::/:/bin/sh", "postgres"), None);
        assert_eq!(name_of(PASSWD, 65534), "nobody");
        assert_eq!(name_of(PASSWD, 7), "7");
    }

    #[test]
    fn the_most_specific_class_decides_about_passing() {
        assert!(may_pass(0o755, 0, 0, 101, 104));
        assert!(!may_pass(0o700, 0, 0, 101, 104));
        assert!(may_pass(0o700, 101, 0, 101, 104));
        assert!(may_pass(0o710, 0, 104, 101, 104));
        assert!(!may_pass(0o701, 0, 104, 101, 104));
        assert!(!may_pass(0o011, 101, 104, 101, 104));
    }
}
