//! Prints the binary layout of the contract, a line a fact: what `cargo xtask abi` records and compares.
//!
//! `KEY: VALUE`, where a key is a constant, a type, or a field of a type by its position:
//! `struct Fault.0: code: FaultCode, 4 bytes`. Only types of the contract are spelt out; those of `abi_stable` and of the
//! standard library stand by name, size and alignment.

use std::collections::BTreeSet;
use std::io::{self, Write};

use abi_stable::StableAbi;
use abi_stable::type_layout::{TLData, TLField, TLFunction, TypeLayout};
use orchestrator_plugin_api::abi::{
    DESCRIPTOR_SECTION, FactId, FaultCode, HostServicesRef, LogLevelId, NO_DEADLINE, PluginLibraryRef,
    Request, TextId,
};
use orchestrator_plugin_api::{
    API_VERSION, ClassDescriptor, Descriptor, MetricDescriptor, MetricKind, PanicStrategy, PluginKind,
};

/// The package whose types are spelt out.
const CONTRACT: &str = "orchestrator-plugin-api";

type Layout = &'static TypeLayout;

fn main() -> io::Result<()> {
    let mut record = Record::default();
    record.constants();
    for root in [PluginLibraryRef::LAYOUT, HostServicesRef::LAYOUT, Request::LAYOUT] {
        record.reach(root);
    }
    let mut out = io::stdout().lock();
    record.lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

#[derive(Default)]
struct Record {
    lines: Vec<String>,
    seen: BTreeSet<String>,
}

impl Record {
    fn constants(&mut self) {
        self.lines.push(format!("contract: {API_VERSION}"));
        self.lines.push(format!("descriptor: {}", descriptor()));
        self.lines
            .push(format!("symbol of the root module: {}", abi_stable::library::ROOT_MODULE_LOADER_NAME));
        self.lines.push(format!("section of the descriptor: {DESCRIPTOR_SECTION}"));
        self.lines.push(format!("const NO_DEADLINE: {NO_DEADLINE}"));
        let ids = FactId::ALL.iter().map(|(name, id)| ("FactId", *name, id.0));
        let ids = ids.chain(TextId::ALL.iter().map(|(name, id)| ("TextId", *name, id.0)));
        let ids = ids.chain(FaultCode::ALL.iter().map(|(name, id)| ("FaultCode", *name, id.0)));
        let ids = ids.chain(LogLevelId::ALL.iter().map(|(name, id)| ("LogLevelId", *name, id.0)));
        self.lines.extend(ids.map(|(kind, name, number)| format!("const {kind}::{name}: {number}")));
    }

    /// Spells out a type and everything that it leads to, each once.
    fn reach(&mut self, layout: Layout) {
        if !self.seen.insert(format!("{} {:p}", name_of(layout), layout)) {
            return;
        }
        if layout.package() == CONTRACT {
            self.spell_out(layout);
        }
        for field in
            layout.get_fields().iter().flat_map(|fields| fields.iter()).chain(layout.phantom_fields().iter())
        {
            for function in field.function_range().iter() {
                function.param_type_layouts.iter().for_each(|parameter| self.reach(parameter()));
                function.return_type_layout().into_iter().for_each(|result| self.reach(result()));
            }
            self.reach(field.layout());
        }
    }

    fn spell_out(&mut self, layout: Layout) {
        let name = name_of(layout);
        let kind = match layout.data() {
            TLData::PrefixType(_) if layout.name() == "VTable" => "object",
            TLData::PrefixType(_) => "prefix",
            _ => "struct",
        };
        let about = match layout.data() {
            TLData::PrefixType(prefix) => {
                format!("the first {} fields are the prefix", prefix.first_suffix_field)
            }
            _ => {
                format!("{} bytes, alignment {}, {:?}", layout.size(), layout.alignment(), layout.repr_attr())
            }
        };
        let key = format!("{kind} {name}");
        if self.lines.iter().any(|line| line.starts_with(&format!("{key}: "))) {
            return;
        }
        self.lines.push(format!("{key}: {about}"));
        let fields = layout.get_fields();
        let fields = fields.iter().flat_map(|fields| fields.iter()).enumerate();
        self.lines.extend(fields.map(|(index, field)| format!("{key}.{index}: {}", field_in_words(&field))));
    }
}

/// A descriptor with everything in it.
fn descriptor() -> String {
    let kinds = [MetricKind::Gauge, MetricKind::Counter, MetricKind::SignedGauge];
    let metric = |kind| MetricDescriptor { name: "name".into(), kind, unit: "1".into(), help: "help".into() };
    let class = |kind| ClassDescriptor {
        class: "Class".into(),
        kind,
        about: "about".into(),
        config_schema: Some("{}".into()),
        metrics: kinds.map(metric).to_vec(),
    };
    let whole = |panic| Descriptor {
        api: "1".into(),
        name: "name".into(),
        version: "1".into(),
        panic,
        classes: vec![class(PluginKind::Metrics), class(PluginKind::Capacity)],
    };
    let both = [whole(PanicStrategy::Unwind), whole(PanicStrategy::Abort)];
    serde_json::to_string(&both).unwrap_or_else(|error| error.to_string())
}

/// `code: FaultCode, 4 bytes`; `remaining_ns: fn(*mut ()) -> u64`.
fn field_in_words(field: &TLField) -> String {
    let functions: Vec<String> = field.function_range().iter().map(|function| signature(&function)).collect();
    if functions.is_empty() || field.name() == "_marker" {
        let layout = field.layout();
        return format!("{}: {}, {} bytes", field.name(), type_in_words(layout), layout.size());
    }
    let optional = if field.is_function() { "" } else { "optional " };
    format!("{}: {optional}{}", field.name(), functions.join(", "))
}

fn signature(function: &TLFunction) -> String {
    let parameters: Vec<String> =
        function.param_type_layouts.iter().map(|parameter| type_in_words(parameter())).collect();
    let result =
        function.return_type_layout().map_or_else(|| "()".to_owned(), |result| type_in_words(result()));
    format!("fn({}) -> {result}", parameters.join(", "))
}

/// The name of a type of the contract. The method tables of the objects are all called `VTable`; each lies in a module
/// that is called after its trait.
fn name_of(layout: Layout) -> String {
    let path = layout.mod_path().to_string();
    let module = path.trim_end_matches('>').rsplit("::").next().unwrap_or_default();
    match module.strip_suffix("_trait") {
        Some(object) if layout.name() == "VTable" => object.to_owned(),
        _ => layout.name().to_owned(),
    }
}

/// A type with its parameters: `RResult<ROption<RVec<u8>>, Fault>`.
fn type_in_words(layout: Layout) -> String {
    let own = layout.package() == CONTRACT;
    let fields: Vec<TLField> = layout.get_fields().iter().flat_map(|fields| fields.iter()).collect();
    let inner: Vec<Layout> = match layout.data() {
        _ if own => Vec::new(),
        TLData::Primitive(_) => return layout.full_type().to_string().trim().replace("  ", " "),
        TLData::Enum(_) => fields.iter().map(TLField::layout).collect(),
        _ if layout.name() == "PhantomData" => {
            layout.phantom_fields().iter().map(|field| field.layout()).collect()
        }
        _ if fields.is_empty() => layout.phantom_fields().iter().map(|field| field.layout()).collect(),
        _ => {
            let marker = fields.iter().filter(|field| field.name() == "_marker");
            marker
                .flat_map(|field| field.layout().phantom_fields().to_vec())
                .map(|field| field.layout())
                .collect()
        }
    };
    let name = name_of(layout);
    if inner.is_empty() {
        return name;
    }
    format!("{name}<{}>", inner.into_iter().map(type_in_words).collect::<Vec<_>>().join(", "))
}
