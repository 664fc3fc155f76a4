//! Rules about the whole configuration: keys that have to be there, values that exclude one another.

use std::collections::BTreeSet;

use super::diagnostic::{Code, Diagnostic};
use super::model::{ConcurrencyMode, Config, Plugin};
use super::tree::{Node, join};
use super::values::TimeLimit;
use crate::plan::template::Placeholder;

/// The keys without which nothing can be run, with what else can give them.
const REQUIRED: [(&str, &str); 3] = [
    ("binary.path", "name the program, in the file or after `--` on the command line"),
    ("input.files_directory", "name the directory of the input files, in the file or by --input DIR"),
    ("output.directory", "name the directory of the results, in the file or by --output DIR"),
];

/// Asks every rule whose keys are sound.
pub(crate) struct Rules<'a> {
    pub(crate) tree: &'a Node,
    pub(crate) unsound: &'a BTreeSet<String>,
    pub(crate) findings: Vec<Diagnostic>,
}

impl Rules<'_> {
    pub(crate) fn ask(&mut self, config: &Config) {
        self.required();
        self.concurrency(config);
        self.times(config);
        self.timeouts(config);
        self.output(config);
        self.validation_command(config);
        self.environment(config);
        self.trust(config);
        self.plugin_names("plugins.metrics", &config.plugins.metrics);
        self.plugin_names("plugins.capacity", &config.plugins.capacity);
        self.plugin_memory(config);
    }

    /// Whether nothing was found wrong at the path, above it or below it.
    fn sound(&self, path: &str) -> bool {
        let under = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
        !self.unsound.iter().any(|bad| under(bad, path) || under(path, bad))
    }

    /// Reports at the first of the paths that is written anywhere.
    fn report(&mut self, code: Code, paths: &[&str], message: String, help: &str) {
        if !paths.iter().all(|path| self.sound(path)) {
            return;
        }
        let place = paths.iter().find_map(|path| self.tree.find(path)).map(|node| node.place.location());
        let path = paths.first().copied().unwrap_or_default();
        self.findings.push(Diagnostic::error(code, path, message).help(help).at(place));
    }

    fn required(&mut self) {
        for (path, help) in REQUIRED {
            let written = self.tree.find(path).is_some_and(|node| !node.is_null());
            if !written && self.sound(path) {
                let section = path.split('.').next().unwrap_or_default();
                let place = self.tree.entry(section).map(|entry| entry.place.location());
                let message = format!("`{path}` is missing");
                self.findings.push(Diagnostic::error(Code::MissingKey, path, message).help(help).at(place));
            }
        }
    }

    fn concurrency(&mut self, config: &Config) {
        let (min, max) = (config.concurrency.min, config.concurrency.max.get());
        let paths = ["concurrency.max", "concurrency.min", "concurrency.mode"];
        match max {
            Some(max) if max < min => {
                let message = format!("concurrency.max ({max}) is below concurrency.min ({min})");
                self.report(Code::Contradiction, &paths[..2], message, "raise max or lower min");
            }
            None if config.concurrency.mode == ConcurrencyMode::Fixed => {
                let paths = ["concurrency.mode", "concurrency.max"];
                let message = "concurrency.mode is fixed, but concurrency.max is not given".to_owned();
                self.report(Code::Contradiction, &paths, message, "say how many: concurrency.max: 4");
            }
            _ => {}
        }
    }

    /// A process needs some room before its first word.
    fn plugin_memory(&mut self, config: &Config) {
        let kinds =
            [("plugins.metrics", &config.plugins.metrics), ("plugins.capacity", &config.plugins.capacity)];
        for (list, plugins) in kinds {
            for (index, plugin) in plugins.iter().enumerate() {
                if plugin.max_memory < Plugin::LEAST_MEMORY {
                    let path = join(&join(list, &index.to_string()), "max_memory");
                    let message = format!("{path} is too little to load a library");
                    let hint = format!("give it at least {}", Plugin::LEAST_MEMORY);
                    self.report(Code::OutOfRange, &[&path], message, &hint);
                }
            }
        }
    }

    /// Times that mean nothing when they are 0.
    fn times(&mut self, config: &Config) {
        let calibration = config.calibration.enabled.then_some(config.calibration.calibration_duration);
        let mut times = vec![
            ("metrics.interval".to_owned(), Some(config.metrics.interval)),
            ("timeouts.stuck".to_owned(), config.timeouts.stuck),
            ("calibration.calibration_duration".to_owned(), calibration),
        ];
        let kinds =
            [("plugins.metrics", &config.plugins.metrics), ("plugins.capacity", &config.plugins.capacity)];
        for (list, plugins) in kinds {
            let intervals = plugins.iter().enumerate();
            times.extend(intervals.map(|(i, p)| (join(&join(list, &i.to_string()), "interval"), p.interval)));
        }
        for (path, time) in times {
            if time.is_some_and(|time| time.as_millis() == 0) {
                let message = format!("{path} has to be above 0");
                self.report(Code::OutOfRange, &[&path], message, "give a time of at least 1ms");
            }
        }
        if config.retry.delay > config.retry.max_delay {
            let message = format!(
                "retry.delay ({}) is above retry.max_delay ({})",
                config.retry.delay, config.retry.max_delay
            );
            self.report(
                Code::Contradiction,
                &["retry.delay", "retry.max_delay"],
                message,
                "raise max_delay or lower delay",
            );
        }
    }

    fn timeouts(&mut self, config: &Config) {
        let (slow, limit) = (config.timeouts.slow_after, config.timeouts.attempt);
        let never = match (slow, limit) {
            (Some(TimeLimit::Absolute(slow)), Some(TimeLimit::Absolute(limit))) => slow >= limit,
            (Some(TimeLimit::OfMedian(slow)), Some(TimeLimit::OfMedian(limit))) => slow >= limit,
            _ => false,
        };
        if never {
            let message = "timeouts.slow_after is not below timeouts.attempt, so nothing would ever be reported as slow";
            let paths = ["timeouts.slow_after", "timeouts.attempt"];
            self.report(Code::Contradiction, &paths, message.to_owned(), "lower slow_after or remove it");
        }
    }

    fn output(&mut self, config: &Config) {
        let suffix = &config.output.file_suffix;
        if suffix.contains(['/', '\0']) {
            let message = format!("output.file_suffix: `{suffix}` contains a slash or a NUL byte");
            self.report(
                Code::InvalidValue,
                &["output.file_suffix"],
                message,
                "a suffix is part of a file name, such as .gz",
            );
        }
        if suffix.is_empty() && config.input.files_directory == config.output.directory {
            let paths = ["output.file_suffix", "output.directory", "input.files_directory"];
            let message = "results would replace their inputs: output.directory is input.files_directory and output.file_suffix is empty";
            self.report(
                Code::Contradiction,
                &paths,
                message.to_owned(),
                "give another directory or a suffix",
            );
        }
    }

    /// The validation command runs for files, not in a slot of an attempt.
    fn validation_command(&mut self, config: &Config) {
        const UNKNOWN: [Placeholder; 6] = [
            Placeholder::TempDir,
            Placeholder::TaskId,
            Placeholder::Attempt,
            Placeholder::Slot,
            Placeholder::Seq,
            Placeholder::RunId,
        ];
        for (index, part) in config.output.validation.command.iter().enumerate() {
            if let Some(placeholder) = UNKNOWN.iter().find(|placeholder| part.mentions(**placeholder)) {
                let path = join("output.validation.command", &index.to_string());
                let name = placeholder.name();
                let message = format!("output.validation.command: `{{{name}}}` has no meaning there");
                let help = "it knows the files alone: {output_file}, {input_file}, {input_name}, {input_stem}, \
                            {input_dir}, {input_size}, {output_dir}";
                self.report(Code::InvalidTemplate, &[&path], message, help);
            }
        }
    }

    fn environment(&mut self, config: &Config) {
        for name in config.binary.env.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            let path = join("binary.env", name);
            let message = format!("binary.env: `{name}` cannot be the name of a variable");
            self.report(Code::InvalidValue, &[&path], message, "names are not empty and have no `=`");
        }
    }

    fn trust(&mut self, config: &Config) {
        let trust = &config.plugins.trust;
        let (required, keys) = ("plugins.trust.require_signature", "plugins.trust.keys");
        let nothing_else = trust.sha256.is_empty() && trust.allow_unsigned_from.is_empty();
        if trust.require_signature && trust.keys.is_empty() && nothing_else {
            let message = format!("{required} is true, but {keys} names no key, so nothing could ever pass");
            self.report(
                Code::Contradiction,
                &[required, keys],
                message,
                "name the public keys of those you trust",
            );
        }
        if let Some(index) = trust.sha256.iter().position(|hash| trust.revoked.contains(hash)) {
            let path = join("plugins.trust.sha256", &index.to_string());
            let message = format!("{path}: this hash is in plugins.trust.revoked, too");
            let paths = [path.as_str(), "plugins.trust.revoked"];
            self.report(Code::Contradiction, &paths, message, "remove it from one of the two");
        }
    }

    fn plugin_names(&mut self, list: &str, plugins: &[Plugin]) {
        if !self.sound(list) {
            // Positions would not fit: what is unsound has been left out.
            return;
        }
        for (index, plugin) in plugins.iter().enumerate() {
            if plugins[..index].iter().any(|earlier| earlier.name == plugin.name) {
                let path = join(&join(list, &index.to_string()), "name");
                let message = format!("{list}: the name `{}` is given to two plugins", plugin.name);
                self.report(
                    Code::DuplicatePlugin,
                    &[&path],
                    message,
                    "give each plugin of the list a name of its own",
                );
            }
        }
    }
}
