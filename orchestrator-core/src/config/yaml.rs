//! YAML text to a tree with places. One document, with anchors, aliases and merge keys (`<<`).

use std::collections::BTreeMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::diagnostic::{Code, Diagnostic};
use super::tree::{Entry, Kind, Node, Place, Source, join};

/// So many values a text may have once its aliases are written out; more is an attack or a mistake.
const MAX_NODES: usize = 100_000;
/// So deep may values be nested.
const MAX_DEPTH: usize = 64;

/// Parses a source. What can be read is returned even if there are findings, but nothing after a syntax error.
///
/// # Errors
/// The syntax error, when the text is not one YAML document.
pub(crate) fn parse(
    source: &Arc<Source>,
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<Node>, Box<Diagnostic>> {
    let mut builder = Builder::new(source);
    let mut parser = Parser::new_from_str(&source.text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let mark = *error.marker();
            builder.syntax(Span::empty(mark), format!("this is not YAML: {}", error.info()))
        })?;
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
            if documents > 1 {
                return Err(
                    builder.syntax(span, "a second document begins here; a configuration is one document")
                );
            }
        }
        builder.event(event, span)?;
    }
    findings.append(&mut builder.findings);
    Ok(builder.root)
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    /// Byte offset of each character; empty if the text is ASCII.
    offsets: Vec<usize>,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    findings: Vec<Diagnostic>,
}

/// A list or mapping that has begun and not ended.
struct Frame {
    place: Place,
    anchor: usize,
    /// How many nodes there were when it began.
    nodes_before: usize,
    open: Open,
}

enum Open {
    Seq(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Place)> },
}

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<Source>) -> Self {
        let text = &source.text;
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()
        };
        Self {
            source,
            offsets,
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            root: None,
            findings: Vec::new(),
        }
    }

    fn byte(&self, index: usize) -> usize {
        let length = self.source.text.len();
        if self.offsets.is_empty() {
            index.min(length)
        } else {
            self.offsets.get(index).copied().unwrap_or(length)
        }
    }

    fn place(&self, span: Span) -> Place {
        let start = self.byte(span.start.index());
        let end = self.byte(span.end.index()).max(start);
        let trimmed = self.source.text[start..end].trim_end();
        Place {
            source: Arc::clone(self.source),
            span: start..start + trimmed.len(),
            line: span.start.line().max(1),
            column: span.start.col() + 1,
            profile: None,
        }
    }

    fn syntax(&self, span: Span, message: impl Into<String>) -> Box<Diagnostic> {
        let finding = Diagnostic::error(Code::YamlSyntax, &self.path(), message);
        Box::new(finding.at(self.place(span).location()))
    }

    fn path(&self) -> String {
        self.stack.iter().fold(String::new(), |path, frame| match &frame.open {
            Open::Seq(items) => join(&path, &items.len().to_string()),
            Open::Map { key: Some((key, _)), .. } => join(&path, key),
            Open::Map { .. } => path,
        })
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.plain(style, tag.as_deref(), span)?;
                let kind = Kind::Scalar { text: text.into_owned(), plain, loose: false };
                self.nodes += 1;
                self.add(Node { kind, place: self.place(span) }, anchor, 1, span)
            }
            Event::SequenceStart(anchor, _) => self.open(span, anchor, Open::Seq(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(span, anchor, Open::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => {
                let (node, size) = self.anchors.get(&id).cloned().ok_or_else(|| {
                    self.syntax(span, "this alias stands within the value that its anchor names")
                })?;
                if self.stack.len() + node.depth() > MAX_DEPTH {
                    return Err(
                        self.syntax(span, format!("values are nested deeper than {MAX_DEPTH} levels"))
                    );
                }
                self.nodes += size;
                self.add(node, 0, size, span)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn plain(&self, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<bool, Box<Diagnostic>> {
        match tag {
            None => Ok(style == ScalarStyle::Plain),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(false),
            Some(tag) if tag.is_yaml_core_schema() => Ok(true),
            Some(tag) => Err(self.syntax(span, format!("the tag `{tag}` means nothing here: remove it"))),
        }
    }

    fn open(&mut self, span: Span, anchor: usize, open: Open) -> Result<(), Box<Diagnostic>> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.syntax(span, format!("values are nested deeper than {MAX_DEPTH} levels")));
        }
        let frame = Frame { place: self.place(span), anchor, nodes_before: self.nodes, open };
        self.nodes += 1;
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Box<Diagnostic>> {
        let Some(mut frame) = self.stack.pop() else { return Ok(()) };
        let end = self.byte(span.end.index()).max(frame.place.span.start);
        frame.place.span.end =
            frame.place.span.start + self.source.text[frame.place.span.start..end].trim_end().len();
        let kind = match frame.open {
            Open::Seq(items) => Kind::Seq(items),
            Open::Map { entries, .. } => Kind::Map(self.with_merge_keys(entries)),
        };
        let size = self.nodes - frame.nodes_before;
        self.add(Node { kind, place: frame.place }, frame.anchor, size, span)
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize, span: Span) -> Result<(), Box<Diagnostic>> {
        if self.nodes > MAX_NODES {
            return Err(self.syntax(span, format!("more than {MAX_NODES} values, counting those of aliases")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.open {
            Open::Seq(items) => items.push(node),
            Open::Map { entries, key } => match key.take() {
                Some((key, place)) => entries.push(Entry { key, place, node }),
                None => return self.begin_key(node, span),
            },
        }
        Ok(())
    }

    fn begin_key(&mut self, node: Node, span: Span) -> Result<(), Box<Diagnostic>> {
        let Kind::Scalar { text, .. } = node.kind else {
            let finding = self.syntax(span, "a list or mapping cannot be a key");
            return Err(Box::new(finding.help("quote the value if it begins with `{` or `[`")));
        };
        let path = join(&self.path(), &text);
        let Some(Frame { open: Open::Map { entries, key }, .. }) = self.stack.last_mut() else {
            return Ok(());
        };
        if let Some(index) = entries.iter().position(|entry| entry.key == text && text != "<<") {
            let first = entries.remove(index).place;
            let message = format!("`{path}` is given twice, first in line {}", first.line);
            self.findings.push(
                Diagnostic::error(Code::DuplicateKey, &path, message)
                    .help("remove one of the two")
                    .at(node.place.location()),
            );
        }
        *key = Some((text, node.place));
        Ok(())
    }

    /// Replaces `<<: *anchor` and `<<: [*a, *b]` by the keys of the mappings named; earlier ones and own keys win.
    fn with_merge_keys(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.key == "<<");
        for merge in merges {
            let place = merge.place;
            let parts = match merge.node.kind {
                Kind::Seq(items) => items,
                kind => vec![Node { kind, place: merge.node.place }],
            };
            for part in parts {
                match part.kind {
                    Kind::Map(entries) => {
                        for entry in entries {
                            if own.iter().all(|known| known.key != entry.key) {
                                own.push(entry);
                            }
                        }
                    }
                    _ => self.findings.push(
                        Diagnostic::error(
                            Code::WrongType,
                            &join(&self.path(), "<<"),
                            "`<<` takes mappings alone",
                        )
                        .at(place.location()),
                    ),
                }
            }
        }
        own
    }
}
