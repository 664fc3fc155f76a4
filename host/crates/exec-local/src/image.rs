//! What `execve` is given: program, arguments and environment as NUL-terminated strings and arrays of pointers to them.
//!
//! The buffers are kept from launch to launch, and so is the part of the environment that all children share: a launch
//! allocates nothing once they have grown.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;
use std::sync::Arc;

use libc::c_char;
use orchestrator_core::placement::CpuSet;
use orchestrator_ports::{ChildSettings, Launch};

use crate::program;

/// The environment that children share: the host's own (unless it is to be cleared) with the settings' on top, without
/// the names that each launch sets itself.
#[derive(Debug)]
pub(crate) struct Common {
    settings: Arc<ChildSettings>,
    /// The names that each launch sets, each with whether the launch's value counts: it is the last of that name.
    own_names: Vec<(OsString, bool)>,
    entries: Vec<CString>,
}

impl Common {
    /// The shared part for a launch: that of the launch before, if it fits.
    ///
    /// # Errors
    /// `InvalidInput` when a string holds a NUL byte.
    pub(crate) fn renew(before: &mut Option<Arc<Self>>, launch: &Launch) -> io::Result<Arc<Self>> {
        match before {
            Some(common) if common.fits(launch) => Ok(Arc::clone(common)),
            _ => Ok(Arc::clone(before.insert(Arc::new(Self::new(launch)?)))),
        }
    }

    fn fits(&self, launch: &Launch) -> bool {
        Arc::ptr_eq(&self.settings, &launch.settings)
            && self.own_names.len() == launch.env.len()
            && self.own_names.iter().zip(launch.env.iter()).all(|((known, _), (name, _))| known == name)
    }

    fn new(launch: &Launch) -> io::Result<Self> {
        let settings = Arc::clone(&launch.settings);
        let mut own_names: Vec<(OsString, bool)> = Vec::with_capacity(launch.env.len());
        for (name, _) in launch.env.iter() {
            own_names.iter_mut().filter(|(known, _)| known == name).for_each(|(_, counts)| *counts = false);
            own_names.push((name.to_owned(), true));
        }
        let mut pairs: Vec<(OsString, OsString)> =
            if settings.clear_env { Vec::new() } else { std::env::vars_os().collect() };
        for (name, value) in &settings.env {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name.clone(), value.clone()));
        }
        pairs.retain(|(name, _)| own_names.iter().all(|(own, _)| own != name));
        let entry = |(name, value): (OsString, OsString)| {
            let bytes = [name.into_vec(), value.into_vec()].join(&b'=');
            CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
        };
        let entries = pairs.into_iter().map(entry).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { settings, own_names, entries })
    }
}

/// Buffers for one launch at a time.
#[derive(Debug, Default)]
pub(crate) struct Image {
    common: Option<Arc<Common>>,
    /// The processors of the launch, if it is given any.
    cpus: Option<CpuSet>,
    /// Program, working directory, arguments, environment of the launch: each ended by a NUL.
    bytes: Vec<u8>,
    /// Where each string begins in `bytes`.
    starts: Vec<usize>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers lead into the image's own buffers and the shared part that it keeps alive; nobody follows them but
// through the `Call` of the last `fill`.
unsafe impl Send for Image {}

/// Pointers into an [`Image`], good until it is filled again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The file.
    pub(crate) program: *const c_char,
    /// Working directory; null for the host's own.
    pub(crate) directory: *const c_char,
    /// Ends with null.
    pub(crate) argv: *const *const c_char,
    /// Ends with null.
    pub(crate) envp: *const *const c_char,
    /// The bits of its processors, and how many bytes they are; null for the host's own.
    pub(crate) cpus: *const u64,
    pub(crate) cpu_bytes: usize,
}

impl Image {
    /// Lays out a launch.
    ///
    /// # Errors
    /// `InvalidInput` when a string holds a NUL byte.
    pub(crate) fn fill(&mut self, launch: &Launch, common: Arc<Common>) -> io::Result<Call> {
        self.bytes.clear();
        self.starts.clear();
        self.string(program::locate(launch).as_os_str().as_bytes())?;
        let directory = launch.settings.working_directory.as_deref();
        self.string(directory.map_or(&[], |directory| directory.as_os_str().as_bytes()))?;
        self.string(launch.program.as_os_str().as_bytes())?;
        for argument in &launch.args {
            self.string(argument.as_bytes())?;
        }
        for (entry, (_, counts)) in launch.env.entries().zip(&common.own_names) {
            if *counts {
                self.string(entry)?;
            }
        }
        self.common = Some(common);
        self.cpus.clone_from(&launch.cpus);
        Ok(self.point(launch.args.len() + 1, directory.is_some()))
    }

    /// Sets the pointers, now that the bytes do not move any more.
    fn point(&mut self, arguments: usize, has_directory: bool) -> Call {
        let (bytes, pointers) = (&self.bytes, &mut self.pointers);
        // Every start lies within the bytes.
        let at = |start: &usize| bytes[*start..].as_ptr().cast::<c_char>();
        let (head, own) = self.starts.split_at(2 + arguments);
        pointers.clear();
        pointers.extend(head.iter().skip(2).map(at));
        pointers.push(ptr::null());
        let environment = pointers.len();
        pointers.extend(own.iter().map(at));
        if let Some(common) = &self.common {
            pointers.extend(common.entries.iter().map(|entry| entry.as_ptr()));
        }
        pointers.push(ptr::null());
        let cpus = self.cpus.as_ref().map(CpuSet::words);
        Call {
            cpus: cpus.map_or(ptr::null(), <[u64]>::as_ptr),
            cpu_bytes: cpus.map_or(0, size_of_val),
            program: at(&head[0]),
            directory: if has_directory { at(&head[1]) } else { ptr::null() },
            argv: pointers.as_ptr(),
            envp: pointers[environment..].as_ptr(),
        }
    }

    fn string(&mut self, string: &[u8]) -> io::Result<()> {
        if string.contains(&0) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use orchestrator_core::AttemptId;
    use orchestrator_ports::{InputSource, OutputSink};

    use super::*;

    fn pair(name: &str, value: &str) -> (OsString, OsString) {
        (name.into(), value.into())
    }

    fn launch(settings: Arc<ChildSettings>, args: &[&str], env: &[(&str, &str)]) -> Launch {
        Launch {
            attempt: AttemptId(1),
            program: "/bin/x".into(),
            args: args.iter().map(OsString::from).collect(),
            env: env.iter().copied().collect(),
            stdin: InputSource::Null,
            stdout: OutputSink::Null,
            stderr: OutputSink::Null,
            settings,
            cpus: None,
        }
    }

    fn fill(image: &mut Image, launch: &Launch) -> io::Result<Call> {
        image.fill(launch, Common::renew(&mut None, launch)?)
    }

    fn strings(mut array: *const *const c_char) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            // SAFETY: the arrays end with null, and what they point to lives as long as the image.
            let string = unsafe { *array };
            if string.is_null() {
                return found;
            }
            // SAFETY: as above; every string ends with a NUL.
            found.push(unsafe { CStr::from_ptr(string) }.to_str().unwrap().to_owned());
            // SAFETY: not past the null that ends the array.
            array = unsafe { array.add(1) };
        }
    }

    #[test]
    fn what_a_launch_sets_hides_what_is_shared_and_the_last_of_a_name_counts() {
        let shared = ChildSettings {
            clear_env: true,
            env: vec![pair("A", "shared"), pair("B", "shared"), pair("B", "again")],
            working_directory: None,
        };
        let shared = Arc::new(shared);
        let mut image = Image::default();
        let first = launch(Arc::clone(&shared), &["1", "", "3"], &[("A", "own"), ("A", "later")]);
        let call = fill(&mut image, &first).unwrap();
        assert_eq!(strings(call.argv), ["/bin/x", "1", "", "3"]);
        assert_eq!(strings(call.envp), ["A=later", "B=again"]);
        assert!(call.directory.is_null());

        let call = fill(&mut image, &launch(Arc::clone(&shared), &[], &[("C", "own")])).unwrap();
        assert_eq!(strings(call.envp), ["C=own", "A=shared", "B=again"]);
        assert_eq!(strings(call.argv), ["/bin/x"]);

        let other = ChildSettings { working_directory: Some("/tmp".into()), ..(*shared).clone() };
        let call = fill(&mut image, &launch(Arc::new(other), &[], &[])).unwrap();
        assert_eq!(strings([call.directory, ptr::null()].as_ptr()), ["/tmp"]);
    }

    #[test]
    fn the_shared_part_is_made_anew_only_for_other_settings_or_names() {
        let settings = Arc::<ChildSettings>::default();
        let mut kept = None;
        let named = |name: &str| launch(Arc::clone(&settings), &[], &[(name, "1")]);
        let first = Common::renew(&mut kept, &named("A")).unwrap();
        assert!(Arc::ptr_eq(&first, &Common::renew(&mut kept, &named("A")).unwrap()));
        let second = Common::renew(&mut kept, &named("B")).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        let other = launch(Arc::default(), &[], &[("B", "1")]);
        assert!(!Arc::ptr_eq(&second, &Common::renew(&mut kept, &other).unwrap()));
    }

    #[test]
    fn a_nul_byte_is_refused_wherever_it_stands() {
        let settings = Arc::<ChildSettings>::default();
        let mut image = Image::default();
        for bad in [
            launch(Arc::clone(&settings), &["a\0b"], &[]),
            launch(Arc::clone(&settings), &[], &[("A", "a\0b")]),
        ] {
            assert_eq!(fill(&mut image, &bad).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert!(fill(&mut image, &launch(settings, &["fine"], &[])).is_ok());
    }
}
