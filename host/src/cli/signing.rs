//! `plugin keygen`, `plugin sign`, `plugin verify`.

use std::path::PathBuf;

use clap::Args;

/// Make a pair of keys for signing plugins, in the format of minisign
#[derive(Debug, Args)]
#[command(
    after_help = "Writes minisign.key, to be kept secret, and minisign.pub, to be given to those who use your \
                        plugins. The secret key is protected by a password: that of ORCHESTRATOR_KEY_PASSWORD, or one \
                        that is asked for. The tool `minisign` takes both keys as they are.\n\nExamples:\n  \
                        orchestrator plugin keygen --out ~/.keys\n  orchestrator plugin keygen --no-password --out \
                        /run/ci-keys"
)]
pub(crate) struct KeygenArgs {
    /// The directory that they are written to; it is made if it is not there
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,

    /// Leave the secret key without a password: whoever reads the file can sign
    #[arg(long)]
    pub(crate) no_password: bool,
}

/// Sign a plugin library: writes FILE.so.minisig beside it
#[derive(Debug, Args)]
#[command(
    after_help = "A password that protects the key is taken from ORCHESTRATOR_KEY_PASSWORD, or asked for. The tool \
                        `minisign` verifies the signature, too: minisign -V -p minisign.pub -m FILE.so\n\nExamples:\n  \
                        orchestrator plugin sign target/release/libmy_plugin.so --key ~/.keys/minisign.key\n  \
                        orchestrator plugin sign libmy_plugin.so --key minisign.key --comment my-plugin-1.2.0"
)]
pub(crate) struct SignArgs {
    /// The library
    pub(crate) file: PathBuf,

    /// The secret key's file
    #[arg(long, value_name = "KEY")]
    pub(crate) key: PathBuf,

    /// A comment that is signed, too [default: the time and the file's name]
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,

    /// Replace a signature that is there already, and sign what is no plugin library
    #[arg(long)]
    pub(crate) force: bool,
}

/// Say whether a host that trusts a key would load a library: its signature, its owner, its permissions
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it would; 69 it would not; 78 the key cannot be used.\n\nExamples:\n  \
                        orchestrator plugin verify plugins/libmy_plugin.so --key minisign.pub\n  orchestrator plugin \
                        verify libmy_plugin.so --key team.pub --key ~/.keys/minisign.pub"
)]
pub(crate) struct VerifyArgs {
    /// The library; its signature is FILE.so.minisig beside it
    pub(crate) file: PathBuf,

    /// A public key, or the file of one (repeatable)
    #[arg(long, value_name = "PUB", required = true)]
    pub(crate) key: Vec<String>,
}
