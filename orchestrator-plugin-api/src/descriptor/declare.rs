//! Writes a descriptor at compile time, so that it can stand in a section of the file.

/// What [`export_plugin!`](crate::export_plugin) knows about a library.
pub struct Library {
    /// Name of the package.
    pub name: &'static str,
    /// Version of the package.
    pub version: &'static str,
    /// Whether the build aborts on panics.
    pub panic_abort: bool,
    /// The exported classes.
    pub classes: &'static [Class],
}

/// One exported class.
pub struct Class {
    /// Its name.
    pub class: &'static str,
    /// Its kind as the descriptor spells it.
    pub kind: &'static str,
    /// One sentence about it.
    pub about: &'static str,
    /// JSON Schema of its configuration; empty = none.
    pub config_schema: &'static str,
    /// The metrics that it emits.
    pub metrics: &'static [Metric],
}

/// One emitted metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind as the descriptor spells it.
    pub kind: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// One sentence about it.
    pub help: &'static str,
}

/// How many bytes the descriptor's JSON takes.
pub const fn json_len(library: &Library) -> usize {
    Writer::<0>::new().library(library).len
}

/// The descriptor's JSON; `N` is [`json_len`] of the same library.
pub const fn json<const N: usize>(library: &Library) -> [u8; N] {
    let writer = Writer::<N>::new().library(library);
    assert!(writer.len == N, "N is not json_len of this library");
    writer.bytes
}

/// The descriptor's bytes as text.
pub const fn text(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("the descriptor is built of UTF-8 strings"),
    }
}

/// Counts what does not fit: with `N` = 0 it only measures.
struct Writer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Writer<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    const fn byte(mut self, byte: u8) -> Self {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
        self
    }

    const fn raw(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self = self.byte(bytes[i]);
            i += 1;
        }
        self
    }

    /// A JSON string with everything escaped that JSON wants escaped (RFC 8259, section 7).
    const fn string(mut self, text: &str) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bytes = text.as_bytes();
        let mut i = 0;
        self = self.byte(b'"');
        while i < bytes.len() {
            let byte = bytes[i];
            self = match byte {
                b'"' | b'\\' => self.byte(b'\\').byte(byte),
                0..=0x1f => self.raw("\\u00").byte(HEX[(byte >> 4) as usize]).byte(HEX[(byte & 15) as usize]),
                _ => self.byte(byte),
            };
            i += 1;
        }
        self.byte(b'"')
    }

    const fn library(mut self, library: &Library) -> Self {
        self = self.raw("{\"api\":").string(crate::API_VERSION);
        self = self.raw(",\"name\":").string(library.name);
        self = self.raw(",\"version\":").string(library.version);
        self = self.raw(",\"panic\":").string(if library.panic_abort { "abort" } else { "unwind" });
        self = self.raw(",\"classes\":[");
        let mut i = 0;
        while i < library.classes.len() {
            if i > 0 {
                self = self.byte(b',');
            }
            self = self.class(&library.classes[i]);
            i += 1;
        }
        self.raw("]}")
    }

    const fn class(mut self, class: &Class) -> Self {
        self = self.raw("{\"class\":").string(class.class);
        self = self.raw(",\"kind\":").string(class.kind);
        self = self.raw(",\"about\":").string(class.about);
        if !class.config_schema.is_empty() {
            self = self.raw(",\"config_schema\":").string(class.config_schema);
        }
        self = self.raw(",\"metrics\":[");
        let mut i = 0;
        while i < class.metrics.len() {
            if i > 0 {
                self = self.byte(b',');
            }
            self = self.metric(&class.metrics[i]);
            i += 1;
        }
        self.raw("]}")
    }

    const fn metric(self, metric: &Metric) -> Self {
        self.raw("{\"name\":")
            .string(metric.name)
            .raw(",\"type\":")
            .string(metric.kind)
            .raw(",\"unit\":")
            .string(metric.unit)
            .raw(",\"help\":")
            .string(metric.help)
            .byte(b'}')
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Library, Metric, json, json_len, text};
    use crate::{Descriptor, MetricKind, PanicStrategy, PluginKind};

    const LIBRARY: Library = Library {
        name: "odd \"name\"\\",
        version: "0.1.0",
        panic_abort: true,
        classes: &[
            Class { class: "A", kind: "capacity", about: "", config_schema: "", metrics: &[] },
            Class {
                class: "Ü",
                kind: "metrics",
                about: "tab\tand\nline",
                config_schema: r#"{"type":"object"}"#,
                metrics: &[Metric { name: "a.b", kind: "signed_gauge", unit: "°C", help: "h" }],
            },
        ],
    };
    const JSON: [u8; json_len(&LIBRARY)] = json(&LIBRARY);

    #[test]
    fn what_is_written_at_compile_time_reads_back() {
        let read: Descriptor = serde_json::from_str(text(&JSON)).unwrap();
        assert_eq!(read.name, LIBRARY.name);
        assert_eq!(read.api, crate::API_VERSION);
        assert_eq!(read.panic, PanicStrategy::Abort);
        assert_eq!(read.classes[0].kind, PluginKind::Capacity);
        assert_eq!(read.classes[0].config_schema, None);
        assert_eq!(read.classes[1].class, "Ü");
        assert_eq!(read.classes[1].about, "tab\tand\nline");
        assert_eq!(read.classes[1].config_schema.as_deref(), Some(r#"{"type":"object"}"#));
        assert_eq!(read.classes[1].metrics[0].kind, MetricKind::SignedGauge);
        assert_eq!(read.classes[1].metrics[0].unit, "°C");
    }

    #[test]
    fn a_descriptor_of_a_later_version_still_reads() {
        let later = r#"{"api":"1.7.0","name":"n","version":"1","panic":"unwind","extra":1,
            "classes":[{"class":"C","kind":"executor"}]}"#;
        let read: Descriptor = serde_json::from_str(later).unwrap();
        assert_eq!(read.classes[0].kind, PluginKind::Unknown);
    }
}
