//! How Postgres is installed on this system, for a hint.

use super::version::OLDEST_MAJOR;
use std::fs;

/// What to type to get Postgres, of this major version if one is given.
pub(super) fn install_hint(major: Option<u32>) -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    hint_for(&release, cfg!(target_os = "macos"), super::run_as::effective_uid() == 0, major)
}

fn hint_for(os_release: &str, macos: bool, root: bool, major: Option<u32>) -> String {
    let dash = major.map(|major| format!("-{major}")).unwrap_or_default();
    let plain = major.map(|major| major.to_string()).unwrap_or_default();
    let sudo = if root { "" } else { "sudo " };
    let command = match family(os_release) {
        _ if macos => format!("brew install postgresql@{}", major.unwrap_or(OLDEST_MAJOR)),
        Some("debian") => format!("{sudo}apt-get install postgresql{dash}"),
        Some("fedora") if major.is_some() => format!("{sudo}dnf install postgresql{plain}-server"),
        Some("fedora") => format!("{sudo}dnf install postgresql-server"),
        Some("alpine") => format!("{sudo}apk add postgresql{plain}"),
        Some("suse") => format!("{sudo}zypper install postgresql{plain}-server"),
        Some("arch") => format!("{sudo}pacman -S postgresql"),
        _ => {
            return format!(
                "install Postgres{}{plain} and set RINGSHARD_PG_BIN to the folder of its `initdb`",
                if plain.is_empty() { "" } else { " " }
            );
        }
    };
    format!("install it: {command} — or set RINGSHARD_PG_BIN to the folder of its `initdb`")
}

/// The family of systems that `/etc/os-release` names: its own name, else those that it says it is like.
fn family(os_release: &str) -> Option<&'static str> {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let names = format!("{} {}", value("ID"), value("ID_LIKE"));
    names.split_whitespace().find_map(|name| match name {
        "debian" | "ubuntu" => Some("debian"),
        "fedora" | "rhel" | "centos" | "amzn" => Some("fedora"),
        "alpine" => Some("alpine"),
        "arch" => Some("arch"),
        "suse" | "opensuse" => Some("suse"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::hint_for;

    #[test]
    fn hints_name_the_systems_own_command() {
        for (release, major, command) in [
            ("NAME=x\nID=debian\n", None, "sudo apt-get install postgresql "),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", Some(15), "sudo apt-get install postgresql-15 "),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"", None, "sudo dnf install postgresql-server "),
            ("ID=fedora", Some(16), "sudo dnf install postgresql16-server "),
            ("ID=alpine", Some(16), "sudo apk add postgresql16 "),
            ("ID=manjaro\nID_LIKE=arch", None, "sudo pacman -S postgresql "),
            (
                "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"",
                None,
                "sudo zypper install postgresql-server ",
            ),
            ("VERSION_ID=debian", Some(17), "install Postgres 17 and set RINGSHARD_PG_BIN"),
        ] {
            let hint = hint_for(release, false, false, major);
            assert!(hint.contains(command), "{release}: {hint}");
        }
        assert!(hint_for("", true, false, None).contains("brew install postgresql@14 "));
        assert!(hint_for("ID=debian", false, true, None).contains(": apt-get install"));
    }
}
