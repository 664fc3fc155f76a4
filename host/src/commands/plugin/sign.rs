//! `plugin sign`: the signature beside a library.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use minisign::PublicKey;
use orchestrator_plugin_host::{PluginFile, TrustedKey};
use serde_json::json;

use super::keys::{self, KeyError};
use crate::cli::SignArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;

/// Signs the file and verifies the signature before it is written.
pub(super) fn sign(args: &SignArgs, session: &Session) -> Result<Exit, Failure> {
    let bytes = std::fs::read(&args.file).map_err(Failure::file("read", &args.file))?;
    let beside = beside(&args.file);
    if beside.exists() && !args.force {
        return Err(Failure::Signed(beside));
    }
    if let Err(problem) = PluginFile::inspect(&args.file) {
        if !args.force {
            return Err(Failure::PluginFile(format!("{problem}; --force signs it all the same")));
        }
        session.tell(&Report::warning("plugin", format!("signed all the same: {problem}")));
    }
    let secret = keys::secret_key(&args.key, session)?;
    let failed = |source| KeyError::Minisign { what: "sign", source };
    let public = PublicKey::from_secret_key(&secret).map_err(failed)?;
    let comment = args.comment.clone().unwrap_or_else(|| comment(&args.file));
    let signed = minisign::sign(
        Some(&public),
        &secret,
        bytes.as_slice(),
        Some(&one_line(&comment)),
        Some("signature of a plugin of Process Orchestrator"),
    )
    .map_err(failed)?
    .into_string();
    let key = TrustedKey::parse(&public.to_base64()).map_err(|_| KeyError::NoKey(args.key.clone()))?;
    key.verify(&bytes, &signed).map_err(|fault| Failure::PluginFile(fault.to_string()))?;
    replace(&beside, &signed)?;
    if session.json() {
        let key_id = key.id().to_string();
        session.print_json(&json!({ "file": args.file, "signature": beside, "key_id": key_id }))?;
    } else {
        session.print(&format!("{}  signed by key {}\n", beside.display(), key.id()))?;
    }
    Ok(Exit::Success)
}

/// `FILE.so.minisig`.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// As the tool `minisign` has it.
fn comment(file: &Path) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or_default();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("timestamp:{now}\tfile:{name}\thashed")
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

/// Never half a signature: the new one takes the place of the old one at once.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let new = path.with_extension("minisig.new");
    let written = match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => keys::create(&new, false, text).and_then(|()| std::fs::rename(&new, path)),
    };
    written.map_err(Failure::file("write", path))
}
