//! What was found, check by check.

use serde::Serialize;

use crate::style::Style;

/// How a check went.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// As it should be.
    Pass,
    /// It works, and could be better.
    Warn,
    /// It has to be mended.
    Fail,
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    /// The check's name.
    pub(super) check: &'static str,
    /// The class that it is about.
    pub(super) class: Option<String>,
    /// How it went.
    pub(super) verdict: Verdict,
    /// The one sentence.
    pub(super) sentence: String,
}

/// All results.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    class: Option<String>,
    pub(super) all: Vec<Finding>,
}

impl Findings {
    /// What follows is about this class.
    pub(super) fn about(&mut self, class: &str) {
        self.class = Some(class.to_owned());
    }

    pub(super) fn pass(&mut self, check: &'static str, sentence: impl Into<String>) {
        self.add(check, Verdict::Pass, sentence.into());
    }

    pub(super) fn warn(&mut self, check: &'static str, sentence: impl Into<String>) {
        self.add(check, Verdict::Warn, sentence.into());
    }

    pub(super) fn fail(&mut self, check: &'static str, sentence: impl Into<String>) {
        self.add(check, Verdict::Fail, sentence.into());
    }

    fn add(&mut self, check: &'static str, verdict: Verdict, sentence: String) {
        self.all.push(Finding { check, class: self.class.clone(), verdict, sentence });
    }

    /// The worst of all.
    pub(super) fn verdict(&self) -> Verdict {
        self.all.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Pass)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.all.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// For people: a line a check.
    pub(super) fn text(&self, style: Style) -> String {
        let mut text = String::new();
        let mut class = None;
        for finding in &self.all {
            if finding.class != class {
                class.clone_from(&finding.class);
                text.push_str(&format!("\n{}\n", class.as_deref().unwrap_or_default()));
            }
            let word = match finding.verdict {
                Verdict::Pass => style.good("pass"),
                Verdict::Warn => style.warning("warn"),
                Verdict::Fail => style.error("FAIL"),
            };
            text.push_str(&format!("  {word}  {:<11} {}\n", finding.check, finding.sentence));
        }
        let [passed, warned, failed] = [Verdict::Pass, Verdict::Warn, Verdict::Fail].map(|v| self.count(v));
        text + &format!("\n{passed} passed, {warned} to be improved, {failed} failed\n")
    }
}
