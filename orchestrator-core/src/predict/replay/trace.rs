//! Rows of a trace.

use super::TraceError;
use crate::Bytes;
use crate::predict::{Features, Kind};

/// What is known of a row before its task runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceTask {
    /// The workflow.
    pub workflow: String,
    /// The kind of task within it.
    pub task: String,
    /// Its number, as the trace gives it.
    pub seq: u64,
    /// Input size and request, as far as known.
    pub features: Features,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceOutcome {
    /// Peak resident memory.
    pub peak: Bytes,
    /// Run time, seconds.
    pub seconds: f64,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceRow {
    /// What is known before.
    pub task: TraceTask,
    /// What is known after.
    pub outcome: TraceOutcome,
    /// Cores that it kept busy on average, where the trace tells.
    pub cores: Option<f64>,
    /// Bytes read and written, where the trace tells.
    pub moved: Option<Bytes>,
}

const WORKFLOW: &str = "workflow";
const TASK: &str = "task";
const SEQ: &str = "seq";
const INPUT: &str = "input_bytes";
const SECONDS: &str = "runtime_s";
const NAME: &str = "input_name";
const PEAK: &str = "peak_rss_bytes";
const REQUESTED: &str = "user_mem_bytes";
const CPU: &str = "cpu_pct";
const READ: &str = "read_bytes";
const WRITTEN: &str = "write_bytes";

/// No task runs longer, seconds (thirty thousand years): sums of products stay finite.
const LONGEST: f64 = 1e12;

/// Reads comma-separated rows whose first line names the columns, in any order and among others. `input_bytes`,
/// `user_mem_bytes`, `cpu_pct`, `read_bytes` and `write_bytes` may be empty, negative, NaN or missing: unknown; `input_name`
/// may be missing. Sizes beyond 2⁶⁴ bytes count as that.
#[derive(Clone, Debug)]
pub struct TraceReader {
    columns: Vec<Option<&'static str>>,
    line: usize,
}

impl TraceReader {
    /// A reader for rows under this header.
    ///
    /// # Errors
    /// A column that is needed is missing.
    pub fn new(header: &str) -> Result<Self, TraceError> {
        if header.trim().is_empty() {
            return Err(TraceError::Empty);
        }
        let known = [WORKFLOW, TASK, SEQ, INPUT, NAME, SECONDS, PEAK, REQUESTED, CPU, READ, WRITTEN];
        let names = split(header).ok_or(TraceError::OpenQuote { line: 1 })?;
        let columns: Vec<_> =
            names.iter().map(|name| known.into_iter().find(|known| *known == name.trim())).collect();
        for column in [WORKFLOW, TASK, SEQ, SECONDS, PEAK] {
            if !columns.contains(&Some(column)) {
                return Err(TraceError::MissingColumn { column });
            }
        }
        Ok(Self { columns, line: 1 })
    }

    /// Reads the next line; `None` if it is blank.
    ///
    /// # Errors
    /// A value is missing or no number.
    pub fn read(&mut self, line: &str) -> Result<Option<TraceRow>, TraceError> {
        self.line += 1;
        if line.trim().is_empty() {
            return Ok(None);
        }
        let values = split(line).ok_or(TraceError::OpenQuote { line: self.line })?;
        let text = |column: &'static str| -> Result<&str, TraceError> {
            let at = self.columns.iter().position(|name| *name == Some(column));
            at.and_then(|at| values.get(at))
                .map(String::as_str)
                .ok_or(TraceError::MissingValue { line: self.line, column })
        };
        let number = |column: &'static str, text: &str| -> Result<f64, TraceError> {
            let wrong = || TraceError::NotANumber { line: self.line, column, value: text.to_owned() };
            text.trim().parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(wrong)
        };
        let positive = |column: &'static str| -> Result<f64, TraceError> {
            let text = text(column)?;
            let value = number(column, text)?;
            let wrong = || TraceError::NotANumber { line: self.line, column, value: text.to_owned() };
            let possible = value >= 0.0 && (column != SECONDS || value <= LONGEST);
            possible.then_some(value).ok_or_else(wrong)
        };
        let known = |column: &'static str| -> Result<Option<f64>, TraceError> {
            match text(column).map(str::trim) {
                Err(_) | Ok("") => Ok(None),
                Ok(text) if text.eq_ignore_ascii_case("nan") => Ok(None),
                Ok(text) => Ok(Some(number(column, text)?).filter(|value| *value >= 0.0)),
            }
        };
        let optional = |column| Ok(known(column)?.map(|value| Bytes(value as u64)));
        let (read, written) = (known(READ)?, known(WRITTEN)?);
        let moved = (read.is_some() || written.is_some())
            .then(|| Bytes((read.unwrap_or(0.0) + written.unwrap_or(0.0)) as u64));
        Ok(Some(TraceRow {
            task: TraceTask {
                workflow: text(WORKFLOW)?.to_owned(),
                task: text(TASK)?.to_owned(),
                seq: positive(SEQ)? as u64,
                features: Features {
                    input: optional(INPUT)?,
                    kind: text(NAME).ok().and_then(|name| Kind::of(name.as_bytes())),
                    requested_memory: optional(REQUESTED)?.filter(|bytes| bytes.0 > 0),
                },
            },
            outcome: TraceOutcome { peak: Bytes(positive(PEAK)? as u64), seconds: positive(SECONDS)? },
            cores: known(CPU)?.map(|percent| percent / 100.0),
            moved,
        }))
    }
}

/// Splits at commas outside double quotes; a doubled quote within quotes stands for one (RFC 4180). `None` where a quote
/// is not closed: a value does not go on in the next line.
fn split(line: &str) -> Option<Vec<String>> {
    let mut values = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(char) = chars.next() {
        let value = values.len() - 1;
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                values[value].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(String::new()),
            other => values[value].push(other),
        }
    }
    (!quoted).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_may_come_in_any_order_and_be_absent() {
        let mut reader = TraceReader::new("task,workflow,seq,peak_rss_bytes,runtime_s,other").unwrap();
        let row = reader.read("\"a,b\",w,3,5e8,2.5,x").unwrap().unwrap();
        assert_eq!((row.task.task.as_str(), row.task.workflow.as_str(), row.task.seq), ("a,b", "w", 3));
        assert_eq!(row.task.features, Features::default());
        assert_eq!(row.outcome, TraceOutcome { peak: Bytes(500_000_000), seconds: 2.5 });
        assert_eq!(reader.read("  \n").unwrap(), None);
    }

    #[test]
    fn unknown_sizes_and_requests() {
        let header = "workflow,task,seq,input_bytes,runtime_s,peak_rss_bytes,user_mem_bytes";
        let mut reader = TraceReader::new(header).unwrap();
        assert_eq!(reader.read("w,t,0,-1,1,2,").unwrap().unwrap().task.features, Features::default());
        let known = reader.read("w,t,0,7,1,2,9").unwrap().unwrap().task.features;
        assert_eq!((known.input, known.requested_memory), (Some(Bytes(7)), Some(Bytes(9))));
    }

    #[test]
    fn what_is_no_number_is_unknown_where_that_may_be() {
        let header = "workflow,task, seq ,input_bytes,runtime_s,peak_rss_bytes,user_mem_bytes";
        let mut reader = TraceReader::new(header).unwrap();
        for input in ["NaN", "nan", " -1.0 ", "-1e300", ""] {
            let row = reader.read(&format!("w,t,0,{input},1,2,")).unwrap().unwrap();
            assert_eq!(row.task.features, Features::default(), "{input}");
        }
        let huge = reader.read("w,t,0,1e300,1e12,1e300,").unwrap().unwrap();
        assert_eq!((huge.task.features.input, huge.outcome.peak), (Some(Bytes(u64::MAX)), Bytes(u64::MAX)));
        assert_eq!(reader.read("w,\"t,0,1,1,2,").unwrap_err(), TraceError::OpenQuote { line: 8 });
    }

    #[test]
    fn faults_name_line_and_column() {
        assert_eq!(TraceReader::new("\n").unwrap_err(), TraceError::Empty);
        assert_eq!(
            TraceReader::new("workflow,task,seq,runtime_s").unwrap_err(),
            TraceError::MissingColumn { column: PEAK }
        );
        let mut reader = TraceReader::new("workflow,task,seq,runtime_s,peak_rss_bytes").unwrap();
        assert_eq!(reader.read("w,t,0,1").unwrap_err(), TraceError::MissingValue { line: 2, column: PEAK });
        for bad in ["NaN", "-3", "much", "1e13", "inf", ""] {
            let fault = TraceError::NotANumber { line: 3, column: SECONDS, value: bad.to_owned() };
            let mut reader = reader.clone();
            assert_eq!(reader.read(&format!("w,t,0,{bad},1")).unwrap_err(), fault);
        }
    }
}
