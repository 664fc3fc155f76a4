//! `plugin keygen`: a pair of keys.

use std::io;
use std::path::Path;

use serde_json::json;

use super::keys::{self, KeyError};
use crate::cli::KeygenArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Writes both keys; nothing that is there is replaced.
pub(super) fn keygen(args: &KeygenArgs, session: &Session) -> Result<Exit, Failure> {
    let (secret, public) = (args.out.join("minisign.key"), args.out.join("minisign.pub"));
    // Asked before a password is.
    if let Some(there) = [&secret, &public].into_iter().find(|path| path.exists()) {
        return Err(KeyError::Exists(there.clone()).into());
    }
    std::fs::create_dir_all(&args.out).map_err(Failure::file("make", &args.out))?;
    let pair = keys::generate(args.no_password, session)?;
    let failed = |source| KeyError::Minisign { what: "write the keys", source };
    let (secret_text, public_text) = (
        pair.sk.to_box(Some("minisign secret key of plugins")).map_err(failed)?,
        pair.pk.to_box().map_err(failed)?,
    );
    write(&secret, true, &secret_text.into_string())?;
    write(&public, false, &public_text.into_string())?;
    let key = pair.pk.to_base64();
    if session.json() {
        session.print_json(&json!({ "secret_key": secret, "public_key": public, "key": key }))?;
    } else {
        session.print(&format!(
            "{}  keep it secret\n{}  give it to those who use your plugins:\n\nplugins:\n  trust:\n    \
             require_signature: true\n    keys: [{key}]\n",
            secret.display(),
            public.display()
        ))?;
    }
    Ok(Exit::Success)
}

fn write(path: &Path, secret: bool, text: &str) -> Result<(), Failure> {
    match keys::create(path, secret, text) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(KeyError::Exists(path.to_owned()).into())
        }
        result => result.map_err(Failure::file("write", path)),
    }
}
